"""The comparison as a record, tables and a conclusion."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

import pandas as pd

from src.evaluation.evaluate import Evaluation, exact_match_at_coverage, paired_difference
from src.evaluation.intervals import Estimate, Summary, as_record
from src.runs import git_commit, library_versions

COMPARISON_FILE = "comparison.json"
METRIC_TITLES = {
    "rouge1": "ROUGE-1",
    "rouge2": "ROUGE-2",
    "rougeL": "ROUGE-L",
    "exact_match": "exact match",
    "exact_match_2": "first 2 words right",
    "exact_match_3": "first 3 words right",
    "exact_match_4": "first 4 words right",
    "exact_match_5": "first 5 words right",
    "next_word": "next word right",
    "next_word_top3": "next word in top 3",
    "keystroke_savings": "keystrokes saved (upper bound)",
    "length_ratio": "words by true words",
    "distinct_1": "distinct words",
    "distinct_2": "distinct word pairs",
    "bits_per_character": "bits per character",
    "perplexity_per_word": "perplexity per word",
}
# What a conclusion is drawn from.
MAIN_METRICS = ("rouge1", "rouge2", "next_word", "perplexity_per_word")
LOWER_IS_BETTER = {"bits_per_character", "perplexity_per_word"}
COST_TITLES = {
    "seconds_per_suggestion": "seconds per suggestion",
    "parameters": "parameters",
    "megabytes": "MB",
}
# What other trainings of the same LSTM are called behind its name.
SEED = ", seed "
COVERAGES = (0.05, 0.1, 0.25, 0.5, 1.0)


def comparison_record(
    evaluations: Sequence[Evaluation], details: dict[str, dict], data: dict, seed: int, settings: dict
) -> dict:
    """Everything that a comparison found, JSON-able.

    Args:
        evaluations: of every system on the same test pairs.
        details: by system, some of `seconds_per_suggestion`, `parameters`, `megabytes`, `run`,
            `decoding` and whatever else is known of it.
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
            evaluation.name: {
                "metrics": as_record(evaluation.summary(seed)),
                "exact_match_at_coverage": {
                    str(coverage): asdict(exact_match_at_coverage(evaluation, coverage, seed)) for coverage in COVERAGES
                },
                **details.get(evaluation.name, {}),
            }
            for evaluation in evaluations
        },
        "versions": library_versions(),
        "git_commit": git_commit(),
    }


def recorded_summaries(record: dict) -> dict[str, Summary]:
    """The summary of every system in a record."""
    return {
        name: {metric: Estimate(**estimate) for metric, estimate in system["metrics"].items()}
        for name, system in record["systems"].items()
    }


def score_table(summaries: dict[str, Summary]) -> pd.DataFrame:
    """One row per system, one column per metric, each with its interval."""
    rows = {
        name: {title: str(summary[metric]) if metric in summary else "–" for metric, title in METRIC_TITLES.items()}
        for name, summary in summaries.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def coverage_table(record: dict) -> pd.DataFrame:
    """One row per system: exact match where only its most confident answers are shown, by their share."""
    rows = {
        name: {f"{float(coverage):.0%}": str(Estimate(**value)) for coverage, value in covered.items()}
        for name, covered in ((name, system["exact_match_at_coverage"]) for name, system in record["systems"].items())
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def trainings(summaries: dict[str, Summary], name: str) -> list[Summary]:
    """The summaries of a system and of its trainings with other seeds."""
    return [summary for other, summary in summaries.items() if other == name or other.startswith(name + SEED)]


def seed_table(summaries: Sequence[Summary]) -> pd.DataFrame:
    """Mean, standard deviation and extremes of every metric over trainings that differ in their seed alone."""
    values = pd.DataFrame([{name: estimate.value for name, estimate in summary.items()} for summary in summaries])
    table = pd.DataFrame(
        {"mean": values.mean(), "standard deviation": values.std(), "lowest": values.min(), "highest": values.max()}
    )
    return table.rename(METRIC_TITLES)


def cost_table(record: dict) -> pd.DataFrame:
    """One row per system: seconds per suggestion, parameters, MB."""
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
    better, worse = (a, b) if (difference.value > 0) != (metric in LOWER_IS_BETTER) else (b, a)
    return f"In {title}, {better.name} is better than {worse.name}: difference {difference}."


def clear_of(a: Summary, b: Summary, metric: str) -> bool:
    """Whether `a` is better than `b` by intervals that do not overlap."""
    return a[metric].high < b[metric].low if metric in LOWER_IS_BETTER else a[metric].low > b[metric].high


def floor_sentence(system: str, floors: Sequence[str], summaries: dict[str, Summary]) -> str:
    """In which scores a system is clear of every floor that has them, and in which it is not."""
    clear = {
        metric: all(
            clear_of(summaries[system], summaries[floor], metric) for floor in floors if metric in summaries[floor]
        )
        for metric in MAIN_METRICS
    }
    titles = {
        verdict: ", ".join(METRIC_TITLES[metric] for metric in MAIN_METRICS if clear[metric] == verdict)
        for verdict in (True, False)
    }
    return f"{system} is clear of every floor, by intervals that do not overlap, in {titles[True] or 'nothing'}" + (
        f"; not in {titles[False]}." if titles[False] else "."
    )


def conclusion(record: dict, lstms: Sequence[Evaluation], transformer: Evaluation, floors: Sequence[str]) -> str:
    """What the numbers say, in Markdown: each LSTM beside the transformer, both against the floors, and the price."""
    summaries, large = recorded_summaries(record), record["systems"][transformer.name]
    names = [*(lstm.name for lstm in lstms), transformer.name]
    bits = [f"{name} {summaries[name]['bits_per_character']} bits each" for name in names]
    lines = [
        f"On {record['num_pairs']:,} test pairs of {record['data']['source']} (95% intervals in brackets):",
        *(difference_sentence(lstm, transformer, metric, record["seed"]) for lstm in lstms for metric in MAIN_METRICS),
        *(floor_sentence(name, floors, summaries) for name in names),
        f"The same target characters cost {', '.join(bits)}: fewer is better.",
        *(_price_sentence(lstm.name, record["systems"][lstm.name], transformer.name, large) for lstm in lstms),
    ]
    return "\n".join(f"- {line}" if i else line + "\n" for i, line in enumerate(lines))


def _price_sentence(small_name: str, small: dict, large_name: str, large: dict) -> str:
    slower = large["seconds_per_suggestion"] / small["seconds_per_suggestion"]
    larger = large["megabytes"] / small["megabytes"]
    return (
        f"One suggestion takes {large_name} {slower:.0f} times as long as {small_name}, "
        f"and it is {larger:.0f} times as large."
    )
