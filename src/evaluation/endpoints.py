"""Paired tests of a comparison's endpoints: between all of its systems, and with junk appended to the answers."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, replace

import pandas as pd

from src.evaluation.evaluate import Evaluation
from src.evaluation.intervals import Ratio
from src.evaluation.metrics import answer_scores
from src.evaluation.typing import SuggestionRecord, type_texts, typing_ratios
from src.evaluation.verdicts import ENDPOINTS, KNOWN_METRICS, PRIMARY, SECONDARY, PairedTest, paired_tests

JUNK_WORDS = "to the"


def answer_endpoints(evaluation: Evaluation) -> dict[str, Ratio]:
    """The secondary endpoints that a system has a score in, by metric id."""
    ratios = evaluation.ratios()
    return {metric: ratios[metric] for metric in SECONDARY if metric in ratios}


def typed_word_by_word(suggestions: Mapping[str, SuggestionRecord]) -> dict[str, pd.DataFrame]:
    """Type the texts of each system with three suggestions, a word with each key; the tables of `type_texts`.

    Raises:
        ValueError: a system's texts are not the first ones of another system's.
    """
    longest = max((record.texts for record in suggestions.values()), key=len, default=[])
    if any(record.texts != longest[: len(record.texts)] for record in suggestions.values()):
        raise ValueError("the records are of different texts: compare completers on the same ones")
    return {name: type_texts(record, "word", 3) for name, record in suggestions.items()}


def endpoint_tests(
    evaluations: Collection[Evaluation], suggestions: Mapping[str, SuggestionRecord], seed: int
) -> list[dict]:
    """Compare every two systems in every endpoint that both have, as they are: claims about the trained weights.

    Slow systems type fewer texts. The keys saved by two systems are compared on the texts that both typed.

    Args:
        evaluations: of the same pairs.
        suggestions: what systems suggested while texts were typed, by name; of the same texts, or of the first of them.
        seed: seed of the bootstrap.

    Returns:
        the dicts of `paired_tests`, those of the primary endpoint first.

    Raises:
        ValueError: the systems were not tested on the same pairs or texts.
    """
    typed = typed_word_by_word(suggestions)
    tests = []
    for num_texts in sorted({len(table) for table in typed.values()}, reverse=True):
        methods = {
            name: [{PRIMARY: typing_ratios(table[:num_texts])[PRIMARY]}]
            for name, table in typed.items()
            if len(table) >= num_texts
        }
        found = paired_tests(methods, seed)
        tests += [test for test in found if num_texts in (len(typed[test["a"]]), len(typed[test["b"]]))]
    return tests + paired_tests({one.name: [answer_endpoints(one)] for one in evaluations}, seed)


def chosen_tests(
    tests: Iterable[Mapping], pairs: Iterable[tuple[str, str]], metric_ids: Sequence[str] = ENDPOINTS
) -> list[dict]:
    """The stored tests of some pairs of systems, each as the first minus the second.

    Args:
        tests: as `endpoint_tests` returns them, or as JSON files hold them.

    Returns:
        dicts like those of `endpoint_tests`, by metric and then by pair. What was not tested is left out.
    """
    by_names = {}
    for test in tests:
        one = PairedTest.from_record(test)
        for a, b, numbers in ((test["a"], test["b"], one), (test["b"], test["a"], _turned(one))):
            by_names[test["metric"], a, b] = {"a": a, "b": b, "metric": test["metric"], **asdict(numbers)}
    wanted = [(metric, a, b) for metric in metric_ids for a, b in pairs]
    return [by_names[key] for key in wanted if key in by_names]


def _turned(test: PairedTest) -> PairedTest:
    """The test of b minus a."""
    return replace(
        test,
        # Not -test.value, which would be -0.0 for equal scores.
        value=0.0 - test.value,
        low=0.0 - test.high,
        high=0.0 - test.low,
        low_90=0.0 - test.high_90,
        high_90=0.0 - test.low_90,
        baseline=test.baseline + test.value,
        runs_a=test.runs_b,
        runs_b=test.runs_a,
    )


def junk_tests(evaluations: Iterable[Evaluation], targets: Sequence[str], seed: int) -> list[dict]:
    """Compare each system's answers with the same answers after which `JUNK_WORDS` are appended.

    The words are the same for every answer, so they are no better answer: a metric that rises from them is no headline.
    The next word and the perplexity do not depend on the end of an answer.

    Args:
        targets: the true endings.

    Returns:
        the dicts of `paired_tests`, with the name of the system as `b`.

    Raises:
        ValueError: there are more answers or fewer than targets.
    """
    tests = []
    for one in evaluations:
        answers = [f"{answer} {JUNK_WORDS}".strip() for answer in one.answers]
        scores = answer_scores(answers, targets)
        others = one.scores[[column for column in one.scores if column not in scores]]
        with_junk = replace(one, answers=answers, scores=scores.join(others.reset_index(drop=True)))
        methods = {f"{one.name}, “{JUNK_WORDS}” appended": with_junk, one.name: one}
        tests += paired_tests({name: [answer_endpoints(answered)] for name, answered in methods.items()}, seed)
    return tests


def rising_metrics(tests: Iterable[Mapping]) -> list[str]:
    """The ids of the metrics that rise in one or more of the tests: those in which a is better, or may be better.

    An undefined difference may be a rise.
    """
    risen = set()
    for test in tests:
        sign = -1 if test["lower_is_better"] else 1
        value = math.nan if test["value"] is None else test["value"]
        if not sign * value <= 0:
            risen.add(test["metric"])
    return [metric for metric in KNOWN_METRICS if metric in risen]
