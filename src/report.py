"""The comparison as a record, a table and a conclusion.

`python -m src.report` writes the table of the newest `models/*/comparison.json` into `README.md`.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pandas as pd

from src.evaluation import Estimate, Evaluation, as_record, paired_difference
from src.files import write_atomically
from src.runs import git_commit, library_versions

COMPARISON_FILE = "comparison.json"
TABLE_START, TABLE_END = "<!-- results: make table -->", "<!-- end of results -->"
METRIC_TITLES = {
    "rouge1": "ROUGE-1",
    "rouge2": "ROUGE-2",
    "rougeL": "ROUGE-L",
    "exact_match": "exact match",
    "next_word": "next word right",
    "bits_per_character": "bits per character",
    "perplexity_per_word": "perplexity per word",
}
COST_TITLES = {
    "seconds_per_suggestion": "seconds per suggestion",
    "parameters": "parameters",
    "megabytes": "MB on disk",
}


def comparison_record(
    evaluations: Sequence[Evaluation], costs: dict[str, dict], data: dict, seed: int, settings: dict
) -> dict:
    """Everything that a comparison found, JSON-able.

    Args:
        evaluations: of every system on the same test pairs.
        costs: by system, some of `seconds_per_suggestion`, `parameters`, `megabytes` and `run`.
        data: of `src.data_utils.corpus_record`.
        seed: of the choice of the pairs and of the bootstrap.
        settings: all parameters of the comparison.
    """
    return {
        "created": datetime.now().isoformat(timespec="seconds"),
        "command": "make run",
        "data": data,
        "split": "test",
        "num_pairs": len(evaluations[0].answers),
        "seed": seed,
        "interval": "95% bootstrap over pairs",
        "settings": settings,
        "systems": {
            evaluation.name: {"metrics": as_record(evaluation.summary(seed)), **costs.get(evaluation.name, {})}
            for evaluation in evaluations
        },
        "versions": library_versions(),
        "git_commit": git_commit(),
    }


def score_table(record: dict) -> pd.DataFrame:
    """One row per system, one column per metric, each with its interval."""
    rows = {
        name: {
            title: str(Estimate(**system["metrics"][metric])) if metric in system["metrics"] else "–"
            for metric, title in METRIC_TITLES.items()
        }
        for name, system in record["systems"].items()
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def cost_table(record: dict) -> pd.DataFrame:
    """One row per system: seconds per suggestion, parameters, MB on disk."""
    rows = {
        name: {title: _format_cost(system.get(cost)) for cost, title in COST_TITLES.items()}
        for name, system in record["systems"].items()
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def _format_cost(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def difference_sentence(a: Evaluation, b: Evaluation, metric: str, seed: int) -> str:
    """Who is better in a metric, by how much, and whether the interval of the difference excludes chance."""
    difference = paired_difference(a, b, metric, seed)
    title = METRIC_TITLES[metric]
    if difference.low <= 0 <= difference.high:
        return f"In {title}, {a.name} and {b.name} can't be told apart: difference {difference}."
    better, worse = (a, b) if difference.value > 0 else (b, a)
    return f"In {title}, {better.name} is better than {worse.name}: difference {difference}."


def conclusion(record: dict, lstm: Evaluation, transformer: Evaluation, floors: Sequence[Evaluation]) -> str:
    """What the numbers say, in Markdown: quality against each other, against the floors, and the price."""
    seed = record["seed"]
    best_floor = max(floors, key=lambda floor: floor.scores["rouge1"].mean())
    likelihood = {
        name: record["systems"][name]["metrics"]["bits_per_character"] for name in (lstm.name, transformer.name)
    }
    small, large = record["systems"][lstm.name], record["systems"][transformer.name]
    lines = [
        f"On {record['num_pairs']:,} test pairs of {record['data']['source']} (95% intervals in brackets):",
        *(difference_sentence(lstm, transformer, metric, seed) for metric in ("rouge1", "next_word")),
        *(difference_sentence(model, best_floor, "rouge1", seed) for model in (lstm, transformer)),
        "The same target characters cost "
        + " and ".join(f"{name} {Estimate(**bits)} bits each" for name, bits in likelihood.items())
        + ": fewer is better.",
        f"One suggestion takes {transformer.name} "
        f"{large['seconds_per_suggestion'] / small['seconds_per_suggestion']:.0f} times as long as {lstm.name}, "
        f"and its folder is {large['megabytes'] / small['megabytes']:.0f} times as large.",
    ]
    return "\n".join(f"- {line}" if i else line + "\n" for i, line in enumerate(lines))


def markdown_table(record: dict) -> str:
    """The README's table: scores and costs of every system, with what they were measured on."""
    table = score_table(record).join(cost_table(record))
    header = f"| | {' | '.join(table.index)} |\n|{' --- |' * (len(table) + 1)}\n"
    rows = "".join(f"| {title} | {' | '.join(values)} |\n" for title, values in table.items())
    data = record["data"]
    note = (
        f"{record['num_pairs']:,} test pairs of `{data['source']}` ({data['name']}, {data['counts']['train']:,} "
        f"training tweets after cleaning), seed {record['seed']}, {record['interval']}, by `{record['command']}`."
    )
    return f"{header}{rows}\n{note}\n"


def update_readme(readme: str | Path = "README.md", models_dir: str | Path = "models") -> None:
    """Put the newest comparison's table between the README's markers.

    Raises:
        ValueError: there is no comparison yet, or the README has no markers.
    """
    readme = Path(readme)
    comparisons = sorted(Path(models_dir).glob(f"lstm_lm-*/{COMPARISON_FILE}"))
    if not comparisons:
        raise ValueError(f"no {COMPARISON_FILE} in {models_dir}: run compare.ipynb first")
    text = readme.read_text(encoding="utf-8")
    if TABLE_START not in text or TABLE_END not in text:
        raise ValueError(f"{readme} has no lines {TABLE_START!r} and {TABLE_END!r} to put the table between")
    before, rest = text.split(TABLE_START)
    after = rest.split(TABLE_END)[1]
    table = markdown_table(json.loads(comparisons[-1].read_text(encoding="utf-8")))
    write_atomically(readme, f"{before}{TABLE_START}\n{table}{TABLE_END}{after}")


if __name__ == "__main__":
    update_readme()
