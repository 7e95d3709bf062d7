"""The tables of the endpoints: verdicts, whether they hold in groups of tweets, and the check of the metrics."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping

import pandas as pd

from src.evaluation.endpoints import JUNK_WORDS, chosen_tests, rising_metrics
from src.evaluation.verdicts import KNOWN_METRICS, SECONDARY, PairedTest, Verdict, verdicts
from src.report.tables import UNKNOWN
from src.report.verdicts import rounded


def verdict_table(tests: Iterable[Mapping], pairs: Iterable[tuple[str, str]]) -> pd.DataFrame:
    """One row per endpoint and pair of systems: the verdict about the first system, and the numbers that it rests on.

    Args:
        tests: the `tests` of a comparison's record.
    """
    rows = {
        (one.metric.title, one.a, one.b): {
            "verdict": _verdict(one),
            "difference": _with_interval(one.test),
            "smallest difference": rounded(one.test.smallest_difference),
            "tweets": f"{one.test.n:,}",
        }
        for one in verdicts(chosen_tests(tests, pairs))
    }
    return _table(rows)


def _table(rows: Mapping[tuple[str, str, str], dict]) -> pd.DataFrame:
    """A table of rows by endpoint, system and the system that it is compared with."""
    names = ["endpoint", "system", "compared with"]
    return pd.DataFrame(rows.values(), pd.MultiIndex.from_tuples(rows, names=names)) if rows else pd.DataFrame()


def _verdict(one: Verdict) -> str:
    small = one.kind in ("better", "worse") and one.test.within(one.margin)
    return f"{one.kind}, by less than {one.margin:.0%}" if small else one.kind


def _with_interval(test: PairedTest) -> str:
    if math.isnan(test.value):
        return "undefined"
    return f"{rounded(test.value)} ({rounded(test.low)} to {rounded(test.high)})"


def agreement_by_group(record: Mapping, verdict: Verdict) -> dict[tuple[str, str], bool | None]:
    """Whether the difference of two systems in each group of tweets agrees with the verdict on all tweets.

    After "better" or "worse" it agrees if it has the same sign as on all tweets; after "equivalent", if its size is
    below the margin times the score of b in this group.

    Args:
        record: a comparison with its `strata`.

    Returns:
        by what is grouped and by group, for the groups with tweets that both systems completed or typed. None stands
        for a difference of zero after "better" or "worse", and for an undefined one.
    """
    a, b, metric = verdict.a, verdict.b, verdict.metric.id
    found = {}
    for by, groups in record["strata"].items():
        for group, stratum in groups.items():
            for one in stratum["differences"]:
                if (one["a"], one["b"], one["metric"]) == (a, b, metric):
                    found[by, group] = _agrees(verdict, one["value"], stratum["scores"][b][metric]["value"])
    return found


def _agrees(verdict: Verdict, difference: float | None, baseline: float) -> bool | None:
    if difference is None or math.isnan(difference):
        return None
    if verdict.kind == "equivalent":
        return abs(difference) < verdict.margin * abs(baseline)
    return None if difference == 0 else (difference > 0) == (verdict.test.value > 0)


def strata_table(record: Mapping, pairs: Iterable[tuple[str, str]]) -> pd.DataFrame:
    """One row for each verdict but "undecided": in how many groups of tweets it holds, and where it does not.

    Args:
        record: a comparison with its `tests` and `strata`.
        pairs: names of two systems whose differences are in the strata.
    """
    rows = {}
    for one in verdicts(chosen_tests(record["tests"], pairs)):
        if one.kind != "undecided":
            agreement = agreement_by_group(record, one)
            num_same = list(agreement.values()).count(True)
            others = defaultdict(list)
            for (by, group), agrees in agreement.items():
                if agrees is False:
                    others[by].append(group)
            rows[one.metric.title, one.a, one.b] = {
                "verdict": one.kind,
                "holds in": f"{num_same} of {len(agreement)} groups",
                "does not hold in": "; ".join(f"{by}: {', '.join(groups)}" for by, groups in others.items()) or UNKNOWN,
            }
    return _table(rows)


def junk_table(tests: Iterable[Mapping]) -> pd.DataFrame:
    """One row per system, one column per endpoint: its score, and that with junk words; the last row says what rises.

    Args:
        tests: from `src.evaluation.endpoints.junk_tests`.
    """
    tests = list(tests)
    rising = rising_metrics(tests)
    cells: dict[str, dict[str, str]] = {}
    for test in tests:
        one = PairedTest.from_record(test)
        scores = f"{rounded(one.baseline)} → {rounded(one.baseline + one.value)}"
        cells.setdefault(test["b"], {})[test["metric"]] = scores
    metrics = [metric for metric in SECONDARY if any(metric in row for row in cells.values())]
    table = pd.DataFrame.from_dict(cells, orient="index").reindex(columns=metrics).fillna(UNKNOWN)
    table.loc["better with junk?"] = ["yes" if metric in rising else "no" for metric in metrics]
    return table.rename(columns={metric: KNOWN_METRICS[metric].title for metric in metrics})


def rising_sentence(tests: Iterable[Mapping]) -> str:
    """Say which metrics rise from junk words."""
    titles = [KNOWN_METRICS[metric].title for metric in rising_metrics(tests)]
    if not titles:
        return f"No metric gets better with “{JUNK_WORDS}” after every answer."
    return f"Better with “{JUNK_WORDS}” after the answers of one system or more, so no headline: {', '.join(titles)}."
