"""The tables of a comparison, made from its record."""

import textwrap
from collections.abc import Mapping, Sequence

import pandas as pd

from src.evaluation.evaluate import Evaluation, paired_difference
from src.evaluation.intervals import Estimate, Summary
from src.evaluation.metrics import METRICS
from src.evaluation.typing import TYPING_METRICS

LATENCY, BUSY = "ms per suggestion", "busy machine"
KEYS_SAVED = "keys saved, 3 suggestions"
UNKNOWN = "–"
TITLE_WIDTH = 12
# In the names of runs that differ only in their seed: "LSTM, seed 1", "LSTM, seed 2", ...
SEED_MARK = ", seed "
# Besides the keys saved, as many as fit a terminal.
TERMINAL_METRICS = [METRICS[name] for name in ("rouge1", "next_word", "perplexity_per_word")]
MAIN_METRICS = [metric for metric in METRICS.values() if metric.is_main]
# The systems of the main table, with the baseline of typing before them and the transformer after them.
MAIN_SYSTEMS = ("Kneser-Ney n-gram", "LSTM", "LSTM with n-grams", "LSTM with n-grams, device")
MAIN_SCORES = ("perplexity_per_word", "next_word", "rouge1")


def recorded_summaries(record: dict) -> dict[str, Summary]:
    """The summary of every system in a record, by name."""
    return {
        name: {metric: Estimate.from_record(estimate) for metric, estimate in system["metrics"].items()}
        for name, system in record["systems"].items()
    }


def transformer_name(record: dict) -> str | None:
    """The name of the fine-tuned transformer in a record; None if there is none."""
    names = [name for name, system in record["systems"].items() if "run" in system and not name.startswith("LSTM")]
    return names[0] if names else None


def main_systems(record: dict) -> list[str]:
    """The names of the systems of the main table, at most six: the baseline of typing, our models, the transformer."""
    known = {*record["systems"], *record["typing"]["systems"]}
    names = (record["typing"]["baseline"], *MAIN_SYSTEMS, transformer_name(record))
    return [name for name in names if name in known]


def main_table(record: dict, names: Sequence[str] | None = None) -> pd.DataFrame:
    """One row per system: keys saved with three suggestions, three scores of complete answers, latency and size.

    Args:
        record: a comparison with its `typing`.
        names: the systems; None: the main systems.
    """
    summaries, typed = recorded_summaries(record), record["typing"]["systems"]
    most_tweets = max(system["tweets"] for system in typed.values())
    rows = {}
    for name in main_systems(record) if names is None else names:
        row = {KEYS_SAVED: UNKNOWN}
        if name in typed:
            num_tweets = typed[name]["tweets"]
            few = f", {num_tweets:,} tweet{'' if num_tweets == 1 else 's'}" if num_tweets < most_tweets else ""
            row[KEYS_SAVED] = _percent(_keys_saved(typed[name], "word", "3")) + few
        for metric in (METRICS[metric_id] for metric_id in MAIN_SCORES):
            score = summaries.get(name, {}).get(metric.id)
            shown = _percent if metric.id == "next_word" else str
            row[metric.title] = UNKNOWN if score is None else shown(score)
        rows[name] = {**row, **main_costs(record, name)}
    return pd.DataFrame.from_dict(rows, orient="index")


def _percent(share: Estimate) -> str:
    """A share with its interval in percent, such as "53.4% (52.3 to 54.4)"."""
    return f"{share.value:.1%} ({100 * share.low:.1f} to {100 * share.high:.1f})"


def score_table(summaries: dict[str, Summary]) -> pd.DataFrame:
    """One row per system, one column per metric; each cell is a score with its interval."""
    rows = {
        name: {metric.title: str(summary.get(metric.id, UNKNOWN)) for metric in METRICS.values()}
        for name, summary in summaries.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index")


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
        KEYS_SAVED: ("word", "3"),
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


def is_timed_on_busy_machine(record: dict) -> bool:
    """Whether a latency was measured while other processes used the machine; see `src.evaluation.latency`."""
    return any(system["latency"]["busy_machine"] for system in record["systems"].values() if "latency" in system)


def latency_title(record: dict) -> str:
    """The title of a column of latencies, which says so if the machine was busy."""
    return f"{LATENCY}, {BUSY}" if is_timed_on_busy_machine(record) else LATENCY


def main_costs(record: dict, name: str) -> dict[str, str]:
    """The median latency and the size of a system, by title; a dash for what is unknown."""
    system = record["systems"].get(name, {})
    return {
        latency_title(record): _number(system.get("seconds_per_suggestion"), 1000),
        "MB": _number(system.get("megabytes")),
    }


def cost_table(record: dict) -> pd.DataFrame:
    """One row per system: median and 90th percentile of the latency, processor time, parameters, MB.

    Latencies have their intervals. A column without any value is left out.
    """
    rows = {}
    for name, system in record["systems"].items():
        costs, latency = main_costs(record, name), system.get("latency")
        if latency is not None:
            costs[latency_title(record)] = _milliseconds(latency["median"])
            costs["90th percentile, ms"] = _milliseconds(latency["p90"])
            costs["processor time, ms"] = _number(latency["cpu_seconds"], 1000)
        rows[name] = costs | {"parameters": _number(system.get("parameters"))}
    titles = [latency_title(record), "90th percentile, ms", "processor time, ms", "parameters", "MB"]
    table = pd.DataFrame.from_dict(rows, orient="index").reindex(columns=titles).fillna(UNKNOWN)
    return table.loc[:, (table != UNKNOWN).any()]


def _milliseconds(seconds: dict) -> str:
    """An estimate in seconds, with its interval, in milliseconds."""
    value, low, high = (_number(seconds[name], 1000) for name in ("value", "low", "high"))
    return f"{value} ({low} to {high})"


def _number(value: float | None, factor: float = 1) -> str:
    """A cost times a factor, in three digits."""
    if value is None:
        return UNKNOWN
    shown = factor * value
    return f"{shown:,.0f}" if shown >= 100 else f"{shown:.3g}"


def error_table(errors: Mapping[str, Mapping[str, int]]) -> pd.DataFrame:
    """One row per kind of error, one column per system: the share of its answers in percent.

    Args:
        errors: the counts of `src.evaluation.errors.count_errors` by system.
    """
    counts = pd.DataFrame({name: dict(kinds) for name, kinds in errors.items()})
    shares = (100 * counts / counts.sum()).map("{:.1f}%".format)
    return shares[(counts > 0).any(axis=1)]


def recited_table(record: Mapping[str, Mapping[str, dict]]) -> pd.DataFrame:
    """One row per system, one column per split: the share of tweets that it recites.

    Args:
        record: from `src.evaluation.memorisation.recited_shares`.
    """
    return pd.DataFrame(
        {
            f"{split} tweets recited": {name: _percent(Estimate.from_record(share)) for name, share in shares.items()}
            for split, shares in record.items()
        }
    )


def recited_by_prefix_table(record: Mapping[str, Mapping[str, Mapping[str, dict]]]) -> pd.DataFrame:
    """One row per length of the prefix, one column per system and split: the share of tweets that it recites.

    Args:
        record: from `src.evaluation.memorisation.recited_by_prefix`.
    """
    names = dict.fromkeys(name for systems in record.values() for name in systems)
    return pd.DataFrame(
        {
            (name, f"{split} tweets"): {
                f"after {length} words": _percent(Estimate.from_record(share))
                for length, share in record[split][name].items()
            }
            for name in names
            for split in record
        }
    )


def markdown_table(rows: Sequence[dict]) -> str:
    """A Markdown table with one line per row; the keys of the first row are the header."""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(map(str, row.values()) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def plain_table(record: dict) -> str:
    """The main scores and costs of a comparison for a terminal, less than 80 characters wide.

    One line per system; the LSTM's runs with other seeds are left out. Titles are broken between words.
    """
    summaries = recorded_summaries(record)
    names = [name for name in summaries if SEED_MARK not in name]
    columns = [("", names)]
    typed = record["typing"]["systems"]
    saved = [f"{_keys_saved(typed[name], 'word', '3').value:.1%}" if name in typed else UNKNOWN for name in names]
    columns.append(("keys saved", saved))
    for metric in TERMINAL_METRICS:
        scores = [str(summaries[name].get(metric.id, UNKNOWN)).split(" (")[0] for name in names]
        columns.append((metric.title, scores))
    costs = pd.DataFrame([main_costs(record, name) for name in names])
    columns += [(title, costs[title].tolist()) for title in costs]
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
    # An undefined interval tells nothing apart.
    if not (difference.low > 0 or difference.high < 0):
        return f"In {metric.title}, {a.name} and {b.name} can't be told apart: difference {difference}."
    better, worse = (a, b) if (difference.value > 0) != metric.lower_is_better else (b, a)
    return f"In {metric.title}, {better.name} is better than {worse.name}: difference {difference}."
