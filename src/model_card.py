"""The page that describes a run to whoever finds its folder (Mitchell et al., 2019, "Model cards for model reporting").

`compare.ipynb` writes it again when the scores on test tweets are known.
"""

import math
from collections.abc import Iterator

SHOWN_METRICS = ("perplexity_per_word", "next_word", "rouge1")


def model_card(meta: dict, comparison: dict | None = None) -> str:
    """Return the text of a run folder's README.

    Args:
        meta: the run's metadata.
        comparison: the record of a comparison that this run was part of, if there is one.
    """
    data = meta["data"]
    counts = "; ".join(f"{name} {rows:,}" for name, rows in data.get("counts", {}).items()).replace("_", " ")
    metrics = "\n".join(f"| {name} | {value} |" for name, value in _metric_rows(meta["metrics"]))
    settings = "\n".join(f"| {name} | {value} |" for name, value in meta["settings"].items())
    return f"""# {meta["name"]}

A tweet completer: it reads the first words of a tweet and suggests the next ones.

## Intended use

Suggestions while a person types a short informal English text, and research on small language models. It is not made
for other languages, for longer texts, or to answer questions. Do not present its output as the opinion of a person.

## Training data

- Corpus: {data.get("name")} ({data.get("source")}), split seed {data.get("split_seed")}
- sha256 of the corpus: `{data.get("sha256")}`
- Cleaning: version {data.get("cleaning", 1)}
- Row counts: {counts}
- Started from: {_start_of(meta)}
- Created: {meta["created"]} after {meta["duration_seconds"]:.0f} s of training; saved at commit {meta["git_commit"]}

Cleaned texts are lower-case words of a to z and digits, without mentions and URLs. The tweets belong to their authors.

## Evaluation

Scores on the validation split, with 95% confidence intervals (`src/evaluation/metrics.py` defines the metrics):

| metric | value |
| --- | --- |
{metrics}

{_test_scores(comparison) if comparison else "`compare.ipynb` scores it on test tweets."}

## Limits

The model knows only texts of its training, from their time and place. A suggestion is a guess from the words before it:
it can be false. Names and new words are completed badly.

## Biases

The model repeats the views, stereotypes and insults of its training tweets. They were not filtered, and no test of its
biases was made. Check what it suggests before you show it to others.

## Memorisation

A language model can repeat its training texts word for word, names and private facts included.
{_memorisation(comparison) if comparison else "How much this one repeats was not measured."}
If the tweets of its corpus are private, keep the model private too.

## Settings

| setting | value |
| --- | --- |
{settings}
"""


def _start_of(meta: dict) -> str:
    """The weights with which the training of a run started, in words."""
    if "init_from" in meta:
        run, sha256, share = (meta["init_from"][key] for key in ("run", "sha256", "trained_share"))
        return (
            f"the weights of the run {run}, sha256 `{sha256}`; averaged with the trained ones, whose share is {share}"
        )
    # A transformer's settings name the pretrained model.
    source = meta["settings"].get("source")
    return "random weights" if source is None else f"the pretrained weights of {source}"


def _metric_rows(metrics: dict, prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in metrics.items():
        if not isinstance(value, dict):
            yield prefix + name, f"{value:.4g}" if isinstance(value, float) else str(value)
        elif {"value", "low", "high"} <= value.keys():
            yield prefix + name, _interval(value)
        else:
            yield from _metric_rows(value, f"{prefix}{name}: ")


def _interval(estimate: dict, factor: float = 1.0, unit: str = "") -> str:
    # An undefined score is NaN, or null in a JSON file.
    if estimate["value"] is None or math.isnan(estimate["value"]):
        return "undefined"
    value, low, high = (f"{estimate[key] * factor:.4g}{unit}" for key in ("value", "low", "high"))
    return f"{value} ({low} to {high})"


def _test_scores(comparison: dict) -> str:
    """The scores of all systems of a comparison in a few metrics, and what they were measured on."""
    typed = comparison["typing"]["systems"]
    rows = []
    for name, system in comparison["systems"].items():
        saved = typed[name]["word"]["3"]["metrics"]["keys_saved"] if name in typed else None
        scores = [system["metrics"].get(metric) for metric in SHOWN_METRICS]
        keys = f"{_interval(saved, 100, '%')}, {saved['n']:,} tweets" if saved else "–"
        cells = [keys, *(_interval(one) if one else "–" for one in scores)]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    header = " | ".join(["keys saved, 3 suggestions", *(metric.replace("_", " ") for metric in SHOWN_METRICS)])
    return (
        f"Scores on {comparison['num_pairs']:,} test tweets that it has not read, beside the other systems of the "
        f"comparison, with 95%\nconfidence intervals:\n\n| system | {header} |\n| --- | --- | --- | --- | --- |\n"
        + "\n".join(rows)
    )


def _memorisation(comparison: dict) -> str:
    recited = comparison["recited"]
    names = {name: None for shares in recited.values() for name in shares}
    lines = [
        f"- {name}: "
        + ", ".join(
            f"{_interval(shares[name], 100, '%')} of {shares[name]['n']:,} {split} tweets"
            for split, shares in recited.items()
        )
        for name in names
    ]
    return (
        "Given the first half of a tweet's words, it should not write the rest word for word. It did so, with greedy "
        "decoding,\nfor this share of tweets of six words and more; the test tweets, which it has not read, show how "
        "many are easy to\nguess:\n\n" + "\n".join(lines) + "\n"
    )
