"""The tables of the endpoints: verdicts, the sign of a difference in groups of tweets, and the check of the metrics."""

import math
from collections.abc import Iterable, Mapping
from typing import Literal

import numpy as np
import pandas as pd

from src.evaluation.endpoints import JUNK_WORDS, chosen_tests, rising_metrics
from src.evaluation.verdicts import KNOWN_METRICS, SECONDARY, PairedTest, Verdict, verdicts
from src.report.tables import UNKNOWN
from src.report.verdicts import rounded

Sign = Literal["same", "opposite", "none"]
# By the product of two signs.
SIGNS: dict[int, Sign] = {1: "same", -1: "opposite", 0: "none"}


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


def signs_by_group(record: Mapping, a: str, b: str, metric: str) -> dict[tuple[str, str], Sign]:
    """Whether the difference of two systems has the same sign in each group of tweets as on all tweets.

    A difference of zero and an undefined one have no sign.

    Args:
        record: a comparison with its `tests` and `strata`.
        a, b: names of two systems whose differences are in the strata.
        metric: the id of an endpoint.

    Returns:
        a sign by what is grouped and by group, for the groups with tweets that both systems completed or typed. It is
        empty if the two were not compared in this metric.
    """
    on_all = [_sign(test["value"]) for test in chosen_tests(record["tests"], [(a, b)], [metric])]
    return {
        (by, group): SIGNS[_sign(one["value"]) * sign]
        for by, groups in record["strata"].items()
        for group, stratum in groups.items()
        for one in stratum["differences"]
        for sign in on_all
        if (one["a"], one["b"], one["metric"]) == (a, b, metric)
    }


def _sign(value: float | None) -> int:
    return 0 if value is None or math.isnan(value) else int(np.sign(value))


def strata_table(record: Mapping, pairs: Iterable[tuple[str, str]]) -> pd.DataFrame:
    """One row for each verdict "better" or "worse": in how many groups the difference has the same sign, and where not.

    Args:
        record, pairs: see `signs_by_group`.
    """
    rows = {}
    for one in verdicts(chosen_tests(record["tests"], pairs)):
        if one.kind in ("better", "worse"):
            signs = signs_by_group(record, one.a, one.b, one.metric.id)
            num_same = list(signs.values()).count("same")
            opposite = [f"{by}: {group}" for (by, group), sign in signs.items() if sign == "opposite"]
            rows[one.metric.title, one.a, one.b] = {
                "verdict": one.kind,
                "same sign in": f"{num_same} of {len(signs)} groups",
                "opposite sign in": "; ".join(opposite) or UNKNOWN,
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
