"""The word list, a baseline for typing."""

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.evaluation.word_list import WordList
from src.text.prefixes import Completion, PrefixError

# "to" three times, "the" twice, "today", "a" and "2nd" once.
TEXTS = ["to the today", "to a the", "to 2nd"]


def suggested(prefix, n=3, half_typed=True):
    [suggestions] = WordList(TEXTS).complete([prefix], n, half_typed)
    return {suggestion.text: suggestion.next_word_probability for suggestion in suggestions}


def test_the_most_frequent_words_are_suggested_with_their_shares():
    assert suggested("") == {"to": 3 / 8, "the": 2 / 8, "2nd": 1 / 8}
    assert suggested("", n=9).keys() == {"to", "the", "2nd", "a", "today"}
    [[best]] = WordList(TEXTS).complete([""])
    assert best == Completion("to", math.log(3 / 8), 3 / 8)


@pytest.mark.parametrize("before", ["", "so ", "Going with @anna "])
def test_they_begin_with_the_typed_letters_whatever_the_words_before(before):
    assert suggested(before + "T") == {"to": 3 / 6, "the": 2 / 6, "today": 1 / 6}
    assert suggested(before + "tod") == {"today": 1.0}
    assert suggested(before + "2") == {"2nd": 1.0}
    assert suggested(before + "x") == {}


def test_a_word_that_is_typed_already_comes_last():
    assert list(suggested("to")) == ["today", "to"]
    assert suggested("to") == {"today": 1 / 4, "to": 3 / 4}


def test_complete_words_are_followed_by_the_most_frequent_ones():
    assert suggested("tod ") == suggested("tod", half_typed=False) == suggested("")


@pytest.mark.parametrize(("prefixes", "n", "error"), [(["ok", "привет"], 1, PrefixError), ([""], 0, ValueError)])
def test_wrong_requests_are_refused(prefixes, n, error):
    with pytest.raises(error):
        WordList(TEXTS).complete(prefixes, n, half_typed=True)


@given(
    st.lists(st.text("ab0", min_size=1, max_size=3), min_size=1, max_size=20),
    st.text("ab0", max_size=2),
    st.integers(1, 4),
)
def test_it_equals_counting(words, typed, n):
    counts = Counter(word for word in words if word.startswith(typed))
    best = sorted(counts, key=lambda word: (word == typed, -counts[word], word))[:n]
    expected = [(word, pytest.approx(counts[word] / counts.total())) for word in best]
    [suggestions] = WordList([" ".join(words)]).complete([typed], n, half_typed=True)
    assert [(one.text, one.next_word_probability) for one in suggestions] == expected
