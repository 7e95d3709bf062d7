"""Split a prefix into complete words and a half-typed word."""

import pytest

from src.text.prefixes import split_prefix


@pytest.mark.parametrize(
    "prefix, expected",
    [
        ("the weather tod", ("the weather", "tod")),
        ("The WEATHER, tod", ("the weather", "tod")),
        ("i can'", ("i", "can")),
        ("i can't", ("i", "cant")),
        ("@bob it is 9a", ("it is", "9a")),
        ("good morning ", ("good morning", "")),
        ("good morning\n", ("good morning", "")),
        ("good morning :)", ("good morning", "")),
        ("good morning @bo", ("good morning", "")),
        ("good morning http://t.co/ab", ("good morning", "")),
        ("morning ", ("morning", "")),
    ],
)
def test_a_prefix_is_split_before_the_word_that_is_being_typed(prefix, expected):
    assert split_prefix(prefix, 0, half_typed=True) == expected
    assert split_prefix(prefix, 0, half_typed=False) == (" ".join(expected).strip(), "")
