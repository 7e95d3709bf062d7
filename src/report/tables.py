"""The comparison of all systems: its record, its tables and its conclusion."""

import textwrap
from collections.abc import Collection, Sequence
from dataclasses import asdict
from datetime import datetime

import numpy as np
import pandas as pd

from src.evaluation.evaluate import Evaluation, exact_match_at_coverage, paired_difference
from src.evaluation.intervals import Estimate, Summary, as_record
from src.evaluation.metrics import METRICS, Metric
from src.evaluation.typing import TYPING_METRICS
from src.runs import git_commit, library_versions

COMPARISON_FILE = "comparison.json"
COST_TITLES = {
    "seconds_per_suggestion": "seconds per suggestion",
    "parameters": "parameters",
    "megabytes": "MB",
}
UNKNOWN = "–"
TITLE_WIDTH = 12
# In the names of runs that differ only in their seed: "LSTM, seed 1", "LSTM, seed 2", ...
SEED_MARK = ", seed "
COVERAGES = (0.05, 0.1, 0.25, 0.5, 1.0)
# Besides the keys saved, as many as fit a terminal.
TERMINAL_METRICS = [METRICS[name] for name in ("rouge1", "next_word", "perplexity_per_word")]
MAIN_METRICS = [metric for metric in METRICS.values() if metric.is_main]


def comparison_record(
    evaluations: Sequence[Evaluation], details: dict[str, dict], data: dict, seed: int, settings: dict
) -> dict:
    """Collect all results of a comparison in a dict that JSON can hold.

    Args:
        evaluations: one per system, all on the same test pairs.
        details: more about each system, by its name: `seconds_per_suggestion`, `parameters`,
            `megabytes`, `run`, `decoding`, `form_of` (the system of which this is another form) and others, as
            far as they are known.
        data: the record of the corpus, from `src.data_utils.corpus_record`.
        seed: the seed that drew the pairs, and that draws the bootstrap's resamples.
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
    """The summary of every system in a record, by name."""
    return {
        name: {metric: Estimate.from_record(estimate) for metric, estimate in system["metrics"].items()}
        for name, system in record["systems"].items()
    }


def score_table(summaries: dict[str, Summary]) -> pd.DataFrame:
    """One row per system, one column per metric; each cell is a score with its interval."""
    rows = {
        name: {metric.title: str(summary.get(metric.id, UNKNOWN)) for metric in METRICS.values()}
        for name, summary in summaries.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def summaries_by_source(
    evaluations: Collection[Evaluation], sources: Sequence[str], seed: int
) -> dict[str, dict[str, dict]]:
    """The summary of every system on the pairs of each source, in JSON types, by source and name.

    Args:
        sources: the source of each pair.

    Returns:
        an empty dict if all pairs have one source.
    """
    sources = np.array(sources)
    names = np.unique(sources).tolist()
    return {
        source: {one.name: as_record(one.of_pairs(sources == source).summary(seed)) for one in evaluations}
        for source in (names if len(names) > 1 else [])
    }


def source_table(record: dict[str, dict[str, dict]]) -> pd.DataFrame:
    """One row per source and system with the main scores, from `summaries_by_source`."""
    rows = {
        (source, name): {
            "pairs": f"{summary[MAIN_METRICS[0].id]['n']:,}",
            **{
                metric.title: str(Estimate.from_record(summary[metric.id])) if metric.id in summary else UNKNOWN
                for metric in MAIN_METRICS
            },
        }
        for source, systems in record.items()
        for name, summary in systems.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def coverage_table(record: dict) -> pd.DataFrame:
    """One row per system, one column per coverage: exact match when only the most confident answers are shown."""
    rows = {
        name: {
            f"{float(coverage):.0%}": str(Estimate.from_record(estimate))
            for coverage, estimate in system["exact_match_at_coverage"].items()
        }
        for name, system in record["systems"].items()
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def typing_table(record: dict) -> pd.DataFrame:
    """One row per system: keys saved with 1 and 3 suggestions, then what they cost with 3 suggestions, word by word.

    Args:
        record: the record of `src.evaluation.typing.typing_record`.
    """
    rows = {}
    for name, system in record["systems"].items():
        row = {"tweets": f"{system['tweets']:,}"}
        for policy, numbers in (("word", system["word"]), ("phrase", system["phrase"])):
            for n, result in numbers.items():
                saved = Estimate.from_record(result["metrics"]["keys_saved"])
                row[f"keys saved: {policy}, {n} suggestion{'s' if n != '1' else ''}"] = str(saved)
        shown = system["word"]["3"]
        more = Estimate.from_record(shown["more_keys_saved"])
        row[f"word, 3 suggestions: saved beyond the {record['baseline']}"] = str(more)
        for metric in list(TYPING_METRICS.values())[1:]:
            row[f"word, 3 suggestions: {metric.title}"] = str(Estimate.from_record(shown["metrics"][metric.id]))
        rows[name] = row
    return pd.DataFrame.from_dict(rows, orient="index")


def keys_saved_table(record: dict) -> pd.DataFrame:
    """One row per system: the share of keys that it saves while tweets are typed, with its interval.

    Args:
        record: as in `typing_table`.
    """
    columns = {
        "keys saved, 3 suggestions": ("word", "3"),
        "keys saved, 1 suggestion": ("word", "1"),
        "keys saved, 3 suggestions, phrases": ("phrase", "3"),
    }
    rows = {
        name: {
            "tweets typed": f"{system['tweets']:,}",
            **{title: str(_keys_saved(system, policy, n)) for title, (policy, n) in columns.items()},
        }
        for name, system in record["systems"].items()
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def _keys_saved(system: dict, policy: str, n: str) -> Estimate:
    return Estimate.from_record(system[policy][n]["metrics"]["keys_saved"])


def keys_saved_sentence(record: dict, names: Sequence[str]) -> str:
    """Say which share of the keys some systems save with three suggestions, and the baseline.

    Args:
        record: as in `typing_table`.
    """
    systems = {name: record["systems"][name] for name in (*names, record["baseline"])}
    saved = [f"{name} {_keys_saved(one, 'word', '3')} ({one['tweets']:,} tweets)" for name, one in systems.items()]
    return f"Share of all keys saved while tweets are typed, three suggestions at every letter: {', '.join(saved)}."


def summaries_of_seeds(summaries: dict[str, Summary], name: str) -> list[Summary]:
    """The summaries of a system and of its runs with other seeds."""
    return [summary for other, summary in summaries.items() if other == name or other.startswith(name + SEED_MARK)]


def seed_table(summaries: Sequence[Summary]) -> pd.DataFrame:
    """Mean, standard deviation, minimum and maximum of every metric over runs that differ only in their seed."""
    values = pd.DataFrame([{name: estimate.value for name, estimate in summary.items()} for summary in summaries])
    table = pd.DataFrame(
        {"mean": values.mean(), "standard deviation": values.std(), "lowest": values.min(), "highest": values.max()}
    )
    return table.rename({metric.id: metric.title for metric in METRICS.values()})


def cost_table(record: dict) -> pd.DataFrame:
    """One row per system: seconds per suggestion, parameters, MB."""
    rows = {
        name: {title: _format_cost(system.get(cost)) for cost, title in COST_TITLES.items()}
        for name, system in record["systems"].items()
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def _format_cost(value: float | None) -> str:
    if value is None:
        return UNKNOWN
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def markdown_table(rows: Sequence[dict]) -> str:
    """A Markdown table with one line per row; the keys of the first row are the header."""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(map(str, row.values()) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def plain_table(record: dict) -> str:
    """The main scores and costs of a comparison for a terminal, less than 80 characters wide.

    One line per system; the LSTM's runs with other seeds are left out. Titles are broken between words.
    """
    summaries, costs = recorded_summaries(record), cost_table(record)
    names = [name for name in summaries if SEED_MARK not in name]
    columns = [("", names)]
    typed = record["typing"]["systems"]
    saved = [f"{_keys_saved(typed[name], 'word', '3').value:.1%}" if name in typed else UNKNOWN for name in names]
    columns.append(("keys saved", saved))
    for metric in TERMINAL_METRICS:
        scores = [str(summaries[name].get(metric.id, UNKNOWN)).split(" (")[0] for name in names]
        columns.append((metric.title, scores))
    for cost in ("seconds_per_suggestion", "megabytes"):
        columns.append((COST_TITLES[cost], costs.loc[names, COST_TITLES[cost]].tolist()))
    titles = [textwrap.wrap(title, TITLE_WIDTH) for title, _ in columns]
    height = max(map(len, titles))
    cells = [[""] * (height - len(title)) + title + values for title, (_, values) in zip(titles, columns)]
    widths = [max(map(len, column)) for column in cells]
    rows = [[name.ljust(widths[0]), *map(str.rjust, values, widths[1:])] for name, *values in zip(*cells)]
    return "\n".join("  ".join(row).rstrip() for row in rows)


def difference_sentence(a: Evaluation, b: Evaluation, metric_id: str, seed: int) -> str:
    """Say which system is better in a metric and by how much, or that the interval of the difference includes zero."""
    difference = paired_difference(a, b, metric_id, seed)
    metric = METRICS[metric_id]
    if difference.low <= 0 <= difference.high:
        return f"In {metric.title}, {a.name} and {b.name} can't be told apart: difference {difference}."
    better, worse = (a, b) if (difference.value > 0) != metric.lower_is_better else (b, a)
    return f"In {metric.title}, {better.name} is better than {worse.name}: difference {difference}."


def beats(a: Evaluation, b: Evaluation, metric: Metric, seed: int) -> bool:
    """Whether `a` is better than `b` in a metric by a paired difference whose interval does not include zero."""
    difference = paired_difference(a, b, metric.id, seed)
    return difference.high < 0 if metric.lower_is_better else difference.low > 0


def baseline_sentence(system: Evaluation, baselines: Sequence[Evaluation], seed: int) -> str:
    """Say in which main metrics a system beats every baseline that has them, and in which it does not."""
    won, not_won = [], []
    for metric in MAIN_METRICS:
        rivals = [baseline for baseline in baselines if metric.id in baseline.ratios()]
        beats_all = all(beats(system, rival, metric, seed) for rival in rivals)
        (won if beats_all else not_won).append(metric.title)
    sentence = f"{system.name} beats every baseline, by paired differences, in {', '.join(won) or 'nothing'}"
    return f"{sentence}; not in {', '.join(not_won)}." if not_won else f"{sentence}."


def conclusion(
    record: dict, lstms: Sequence[Evaluation], transformer: Evaluation, baselines: Sequence[Evaluation]
) -> str:
    """What the numbers say, in Markdown.

    The keys that they save come first. Each LSTM is compared with the transformer, all of them with the baselines,
    then the costs of their fastest forms.
    """
    summaries = recorded_summaries(record)
    names = [*(lstm.name for lstm in lstms), transformer.name]
    bits = METRICS["bits_per_character"]
    scores = [f"{name} {summaries[name][bits.id]}" for name in names]
    lines = [
        f"On {record['num_pairs']:,} test pairs of {record['data']['source']} (95% intervals in brackets):",
        keys_saved_sentence(record["typing"], names),
        *(
            difference_sentence(lstm, transformer, metric.id, record["seed"])
            for lstm in lstms
            for metric in MAIN_METRICS
        ),
        *(baseline_sentence(one, baselines, record["seed"]) for one in (*lstms, transformer)),
        f"{bits.title.capitalize()} (lower is better): {', '.join(scores)}.",
        *(_cost_sentence(record["systems"], lstm.name, transformer.name) for lstm in lstms),
    ]
    return "\n".join(f"- {line}" if i else line + "\n" for i, line in enumerate(lines))


def fastest_form(systems: dict[str, dict], name: str) -> str:
    """The name of the system with the lowest latency among a system and its other forms, such as those in int8.

    Args:
        systems: the systems of a record; what is another form of a system has its name as `form_of`.
    """
    forms = [other for other, system in systems.items() if name in (other, system.get("form_of"))]
    return min(forms, key=lambda form: systems[form]["seconds_per_suggestion"])


def _cost_sentence(systems: dict[str, dict], small: str, large: str) -> str:
    """Say how many times the cost of one system another has, each in its fastest form."""
    small_form, large_form = (fastest_form(systems, name) for name in (small, large))
    slower, larger = (
        systems[large_form][cost] / systems[small_form][cost] for cost in ("seconds_per_suggestion", "megabytes")
    )
    return (
        f"In the fastest form of both, {large} (“{large_form}”) takes {slower:.0f} times as long as {small} "
        f"(“{small_form}”) for one suggestion and is {larger:.0f} times as large."
    )
