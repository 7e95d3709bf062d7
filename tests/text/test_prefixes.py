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
    assert split_prefix(prefix, 0, half_typed=True) == expected
    assert split_prefix(prefix, 0, half_typed=False) == (" ".join(expected).strip(), "")


@pytest.mark.parametrize("prefix", ["", "!!!", "☕", "привет мир", "مرحبا ٣", "こんにちは", "@bob", "http://t.co/ab"])
@pytest.mark.parametrize("half_typed", [False, True])
def test_a_prefix_without_a_letter_that_the_models_know_is_refused_in_true_words(prefix, half_typed):
    with pytest.raises(PrefixError) as refusal:
        split_prefix(prefix, 3, half_typed)
    assert str(refusal.value) == (
        f"prefix 3 ({prefix!r}) has no letters a to z or digits 0 to 9 outside mentions and URLs: "
        "give at least one word of them"
    )


@pytest.mark.parametrize("prefix", ["wea", "привет wea", "@bob wea"])
def test_a_prefix_with_only_a_half_typed_word_is_refused_in_true_words(prefix):
    with pytest.raises(PrefixError) as refusal:
        split_prefix(prefix, 0, half_typed=True)
    assert str(refusal.value) == (
        f"prefix 0 ({prefix!r}) has no complete word of letters a to z or digits 0 to 9 before the half-typed 'wea': "
        "give at least one"
    )
    assert split_prefix(prefix, 0, half_typed=False) == ("wea", "")
