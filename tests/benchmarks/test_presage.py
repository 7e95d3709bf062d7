"""Presage as a completer, where it is installed, and the sentence where it is not."""

import pytest

from benchmarks.quality import presage
from benchmarks.quality.presage import NotInstalledError, Presage


@pytest.fixture(scope="module")
def completer():
    try:
        return Presage()
    except NotInstalledError as error:
        pytest.skip(str(error))


def test_presage_suggests_different_words_that_begin_with_the_typed_letters(completer):
    prefixes = ["", "th", "the weather t", "good night th"]
    for typed, suggestions in zip(["", "th", "t", "th"], completer.complete(prefixes, n=3, half_typed=True)):
        words = [suggestion.text for suggestion in suggestions]
        assert len(set(words)) == len(words) == 3
        assert all(word.startswith(typed) and " " not in word for word in words)
        assert all(suggestion.next_word_probability is None for suggestion in suggestions)


def test_what_presage_suggests_does_not_depend_on_what_it_was_asked_before(completer):
    [first] = completer.complete(["i am so"], n=3)
    completer.complete(["the weather t", "xyzzy xyzzy x", ""], n=1, half_typed=True)
    assert completer.complete(["i am so"], n=3) == [first]


@pytest.mark.parametrize(("name", "missing"), [("LIBRARY", "libno-such.so.1"), ("CONFIG_FILE", None)])
def test_where_presage_is_missing_a_sentence_says_how_to_install_it(monkeypatch, tmp_path, name, missing):
    monkeypatch.setattr(presage, name, missing or tmp_path / "presage.xml")
    with pytest.raises(NotInstalledError, match="apt-get install presage"):
        Presage()
