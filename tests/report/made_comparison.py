"""A made-up comparison: evaluations with known scores, and its record."""

import numpy as np
import pandas as pd

from src.evaluation.evaluate import Evaluation
from src.evaluation.intervals import Estimate
from src.evaluation.latency import Latency
from src.evaluation.metrics import answer_scores, next_word_scores
from src.evaluation.typing import SuggestionRecord, record_suggestions, typing_record
from src.evaluation.word_list import WordList

DATA = {"name": "made-up", "source": "made-up.csv", "counts": {"train": 1200}}
TYPED_TEXTS = ["so tired", "so so"]


def evaluation(name: str, mean: float, bits: float | None = None, n: int = 400) -> Evaluation:
    """A system with the correct answer to a share `mean` of the pairs, spread evenly, and a wrong one to the others."""
    is_right = np.arange(n) * 7919 % n < mean * n
    answers, targets = np.where(is_right, "to bed", "x y").tolist(), ["to bed"] * n
    scores = answer_scores(answers, targets).join(next_word_scores([[a.split()[0]] for a in answers], targets))
    likelihood = None
    if bits is not None:
        likelihood = pd.DataFrame({"nll": np.full(n, bits * 10 * np.log(2)), "words": 2, "characters": 10})
    return Evaluation(name, answers, np.linspace(-5, -1, n), scores, likelihood)


def latency(seconds: float, *, busy_machine: bool = False) -> Latency:
    """A latency of about so many seconds."""
    median, p90 = (Estimate(factor * seconds, 0.9 * factor * seconds, 1.1 * factor * seconds, 9) for factor in (1, 2))
    return Latency(median, p90, 1.5 * seconds, load_average=1.2, other_cores=0.1, busy_machine=busy_machine)


def suggestions(*more: str) -> dict[str, SuggestionRecord]:
    """Completers that type "so tired" and "so so"; the LSTM knows both words, the others only one."""
    known = {"word list": "so", "LSTM": "so so tired", **dict.fromkeys(more, "so")}
    return {name: record_suggestions(WordList([words]), TYPED_TEXTS) for name, words in known.items()}


def typed(*more: str) -> dict:
    """The record of `suggestions`."""
    return typing_record(suggestions(*more), "word list", seed=0)
