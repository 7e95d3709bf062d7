"""One sentence for each verdict of a comparison.

`python -m src.report.verdicts PATH` recomputes the verdicts from the `tests` of a JSON file and prints the sentences.
"""

import argparse
import json
import math
import sys
from pathlib import Path

from src.evaluation.verdicts import PRIMARY, Verdict, verdicts


def verdict_sentences(path: str | Path) -> list[str]:
    """The sentences of all verdicts that follow from a JSON file with a list `tests`.

    Raises:
        OSError: the file can't be read.
        ValueError: the file is not JSON in UTF-8, or has no list `tests` of complete tests.
    """
    try:
        record = json.loads(Path(path).read_text(encoding="utf-8"))
    # Of bytes that are not UTF-8, or a text that is not JSON.
    except ValueError as error:
        raise ValueError(f"{path} is not JSON in UTF-8 ({error}): restore the file") from None
    if not isinstance(record, dict) or not isinstance(record.get("tests"), list):
        raise ValueError(f"{path} has no list `tests`: give the record of a comparison that has one")
    try:
        return [verdict_sentence(verdict) for verdict in verdicts(record["tests"])]
    except (AttributeError, KeyError, TypeError):
        raise ValueError(f"{path} has an incomplete test in its list `tests`: restore the file") from None


def verdict_sentence(verdict: Verdict) -> str:
    """Say a verdict and the numbers that it follows from."""
    test, percent = verdict.test, f"{verdict.margin:.0%}"
    a, b = _named(verdict.a, test.runs_a), _named(verdict.b, test.runs_b)
    metric = f"{verdict.metric.title} ({'lower' if test.lower_is_better else 'higher'} is better)"
    if math.isnan(test.p_value):
        return f"{a} and {b} can't be compared in {metric}: the difference is undefined."
    said = {
        "better": f"{a} is better than {b}",
        "worse": f"{a} is worse than {b}",
        "equivalent": f"{a} and {b} are equivalent",
        "undecided": f"It is undecided whether {a} or {b} is better",
    }[verdict.kind]
    if verdict.kind in ("better", "worse") and test.within(verdict.margin):
        said = f"{said}, by less than {percent},"
    p_value = "p" if verdict.metric.id == PRIMARY else "adjusted p"
    return (
        f"{said} in {metric}: the difference from {rounded(test.baseline)} is {rounded(test.value)} "
        f"(95% interval {rounded(test.low)} to {rounded(test.high)}, 90% interval {rounded(test.low_90)} to "
        f"{rounded(test.high_90)}, {p_value} = {verdict.adjusted_p:.2g}); the margin of equivalence, {percent}, is "
        f"{rounded(verdict.margin * abs(test.baseline))}, and the smallest difference that {test.n:,} texts can show "
        f"is {rounded(test.smallest_difference)}."
    )


def _named(name: str, num_runs: int) -> str:
    return name if num_runs == 1 else f"{name} ({num_runs} runs)"


def rounded(number: float) -> str:
    """Three digits, or no decimals from 1,000 on."""
    if math.isnan(number):
        return "undefined"
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m src.report.verdicts", description="Recompute the verdicts of a comparison from its record."
    )
    parser.add_argument("path", help="a JSON file with a list `tests`, from paired_tests in src/evaluation/verdicts.py")
    path = parser.parse_args().path
    try:
        print("\n".join(verdict_sentences(path)))
    except OSError as error:
        sys.exit(f"{path} can't be read ({error.strerror}): give the file of a comparison's record")
    except ValueError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
