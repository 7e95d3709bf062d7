"""The page that describes a run to whoever finds its folder."""

from collections.abc import Iterator


def model_card(meta: dict) -> str:
    """Return the text of a run folder's README, made from the run's metadata."""
    data = meta["data"]
    counts = "; ".join(f"{name} {rows:,}" for name, rows in data.get("counts", {}).items()).replace("_", " ")
    metrics = "\n".join(f"| {name} | {value} |" for name, value in _metric_rows(meta["metrics"]))
    settings = "\n".join(f"| {name} | {value} |" for name, value in meta["settings"].items())
    return f"""# {meta["name"]}

A tweet completer: it reads the first 75% of a tweet's words and writes the last 25%.

- Corpus: {data.get("name")} ({data.get("source")}), split seed {data.get("split_seed")}
- sha256 of the corpus: `{data.get("sha256")}`
- Cleaning: version {data.get("cleaning", 1)}
- Row counts: {counts}
- Started from: {_start_of(meta)}
- Created: {meta["created"]} after {meta["duration_seconds"]:.0f} s of training, at commit {meta["git_commit"]}

Scores on the validation split, with 95% confidence intervals (`src/evaluation/metrics.py` defines the metrics):

| metric | value |
| --- | --- |
{metrics}

Settings of the run:

| setting | value |
| --- | --- |
{settings}

For research only. The training tweets belong to their authors. The model repeats their biases and their
language; do not present its output as the opinion of a person.
"""


def _start_of(meta: dict) -> str:
    """The weights with which the training of a run started, in words."""
    if "init_from" in meta:
        return f"the weights of the run {meta['init_from']['run']}, sha256 `{meta['init_from']['sha256']}`"
    # A transformer's settings name the pretrained model.
    source = meta["settings"].get("source")
    return "random weights" if source is None else f"the pretrained weights of {source}"


def _metric_rows(metrics: dict, prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in metrics.items():
        if not isinstance(value, dict):
            yield prefix + name, f"{value:.4g}" if isinstance(value, float) else str(value)
        elif {"value", "low", "high"} <= value.keys():
            yield prefix + name, f"{value['value']:.4g} ({value['low']:.4g} to {value['high']:.4g})"
        else:
            yield from _metric_rows(value, f"{prefix}{name}: ")
