"""Split a prefix into complete words and a half-typed word."""

import pytest

from src.text.prefixes import PrefixError, split_prefix


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
        ("so tired...wa", ("so tired", "wa")),
        ("so tired...", ("so tired", "")),
        ("yes/n", ("yes", "n")),
        ("yes/", ("yes", "")),
        ("home.and/o", ("home and", "o")),
        ("a caf\u00e9", ("a", "cafe")),
        ("a cafe\u0301", ("a", "cafe")),
        ("Caf\u00e9 a", ("cafe", "a")),
        ("the stra\u00df", ("the", "strass")),
        ("\uff49 \uff57\uff41", ("i", "wa")),
        ("i can\u2019", ("i", "can")),
        ("tea \u2615so", ("tea", "so")),
        ("in the U.S.", ("in the u s", "")),
        ("about 1,00", ("about 1", "00")),
        ("see http", ("see", "http")),
        ("see http:", ("see", "")),
    ],
)
def test_a_prefix_is_split_before_the_word_that_is_being_typed(prefix, expected):
    assert split_prefix(prefix, 0, half_typed=True, first_words=False) == expected
    assert split_prefix(prefix, 0, half_typed=False, first_words=False) == (" ".join(expected).strip(), "")


@pytest.mark.parametrize("prefix", ["привет мир", "مرحبا ٣", "こんにちは"])
@pytest.mark.parametrize("half_typed", [False, True])
@pytest.mark.parametrize("first_words", [False, True])
def test_a_prefix_in_other_letters_is_refused_in_true_words(prefix, half_typed, first_words):
    with pytest.raises(PrefixError) as refusal:
        split_prefix(prefix, 3, half_typed, first_words)
    assert str(refusal.value) == (
        f"prefix 3 ({prefix!r}) has no letters a to z or digits 0 to 9 outside mentions and URLs: "
        "give at least one word of them"
    )


@pytest.mark.parametrize("prefix", ["", "  ", "!!!", "☕", "@bob", "http://t.co/ab"])
@pytest.mark.parametrize("half_typed", [False, True])
def test_a_prefix_without_a_word_needs_a_model_that_completes_first_words(prefix, half_typed):
    assert split_prefix(prefix, 3, half_typed, first_words=True) == ("", "")
    with pytest.raises(PrefixError) as refusal:
        split_prefix(prefix, 3, half_typed, first_words=False)
    assert str(refusal.value) == (
        f"prefix 3 ({prefix!r}) has no word, and this model was not trained to complete a first word: "
        "give a complete word, or train a new run"
    )


@pytest.mark.parametrize("prefix", ["wea", "привет wea", "@bob wea"])
def test_a_half_typed_first_word_needs_a_model_that_completes_first_words(prefix):
    assert split_prefix(prefix, 0, half_typed=True, first_words=True) == ("", "wea")
    with pytest.raises(PrefixError) as refusal:
        split_prefix(prefix, 0, half_typed=True, first_words=False)
    assert str(refusal.value) == (
        f"prefix 0 ({prefix!r}) has no complete word before the half-typed 'wea', and this model was not trained to "
        "complete a first word: give a complete word, or train a new run"
    )
    assert split_prefix(prefix, 0, half_typed=False, first_words=False) == ("wea", "")
