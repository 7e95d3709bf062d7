"""Every answer has exactly one kind of error."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.evaluation.errors import (
    EXACT,
    GOES_ON,
    KINDS,
    NO_ANSWER,
    NO_RIGHT_WORD,
    REPEATS,
    RIGHT_START,
    RIGHT_WORD,
    STOPS_EARLY,
    count_errors,
    error_examples,
    kind_of_error,
)
from src.evaluation.systems import Pair

texts_of_words = st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=5).map(" ".join)


@pytest.mark.parametrize(
    "answer, kind",
    [
        ("go to bed", EXACT),
        ("go to", STOPS_EARLY),
        ("go to bed now", GOES_ON),
        ("go to sleep", RIGHT_START),
        ("go go go", RIGHT_START),
        ("off to bed", RIGHT_WORD),
        ("bed bed bed", RIGHT_WORD),
        ("the end the end", REPEATS),
        ("no no", REPEATS),
        ("sleep in the kitchen", NO_RIGHT_WORD),
        ("gone", NO_RIGHT_WORD),
        ("", NO_ANSWER),
    ],
)
def test_kinds_by_hand(answer, kind):
    assert kind_of_error(answer, "go to bed") == kind


@given(answer=texts_of_words, target=texts_of_words.filter(bool))
def test_only_the_true_ending_is_right_and_only_an_empty_answer_is_none(answer, target):
    kind = kind_of_error(answer, target)
    assert kind in KINDS
    assert (kind == EXACT) == (answer == target)
    assert (kind == NO_ANSWER) == (answer == "")
    starts_right = bool(answer) and answer.split()[0] == target.split()[0]
    assert (kind in (EXACT, STOPS_EARLY, GOES_ON, RIGHT_START)) == starts_right


def test_counts_have_every_kind_in_order():
    counts = count_errors(["x", "x y", "", "z"], ["x", "x", "x", "x"])
    assert tuple(counts) == KINDS and sum(counts.values()) == 4
    assert {kind: n for kind, n in counts.items() if n} == {EXACT: 1, GOES_ON: 1, NO_RIGHT_WORD: 1, NO_ANSWER: 1}


def test_answers_without_targets_are_refused():
    with pytest.raises(ValueError, match="1 answers for 2 targets"):
        count_errors(["a"], ["a", "b"])


def test_examples_show_every_kind_before_a_second_one():
    pairs = [Pair(f"context {i}", "go to bed") for i in range(4)]
    answers = {"LSTM": ["go to bed", "x", "y", "z"], "n-gram": ["x", "go to bed", "go home", ""]}
    table = error_examples(answers, pairs, most=4)
    assert list(table.columns) == ["kind", "context", "true ending", "answer", "system"]
    assert table["kind"].tolist() == [EXACT, RIGHT_START, NO_RIGHT_WORD, NO_ANSWER]
    assert table.loc[2].tolist() == [NO_RIGHT_WORD, "context 0", "go to bed", "x", "n-gram"]
    more = error_examples(answers, pairs, most=6)
    assert more["kind"].tolist() == [EXACT, EXACT, RIGHT_START, NO_RIGHT_WORD, NO_RIGHT_WORD, NO_ANSWER]
    assert len(error_examples(answers, pairs)) == 8


def test_without_pairs_there_are_no_examples():
    assert isinstance(table := error_examples({"LSTM": []}, []), pd.DataFrame) and table.empty
