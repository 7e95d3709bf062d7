"""Suggestions without offensive words: the list, and what takes a dropped suggestion's place."""

import re
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.completion import Completer
from src.corpus.tokenization import train_tokenizer
from src.models.kneser_ney import KneserNeyLM
from src.next_token_dataset import NextTokenDataset
from src.text import offensive
from src.text.cleaning import clean_string
from src.text.offensive import (
    HARMLESS,
    MAX_FACTOR,
    PACKAGE,
    FilteredCompleter,
    WordListError,
    complete_without,
    offensive_words,
)
from src.text.prefixes import Completion, PrefixError
from tests.budget import examples

ROOT = Path(__file__).resolve().parents[2]
TEXTS = ["what the damn"] * 6 + ["what the hell"] * 5 + ["what the dog did"] * 3 + ["what the cat did"] * 2
TEXTS += ["what the bus", "what the dog damn it", "the dog damn it"]


@pytest.fixture(scope="module")
def completer() -> Completer:
    """An n-gram model whose most probable words after "what the" are both listed."""
    tokenizer = train_tokenizer(TEXTS, vocab_size=80)
    dataset = NextTokenDataset(TEXTS, tokenizer, tokenizer.eos_token_id)
    ids = tokenizer.pad_token_id, tokenizer.eos_token_id
    return Completer(KneserNeyLM.from_dataset(dataset, len(tokenizer), *ids, order=8), tokenizer)


def words_of(groups):
    return [one.text.split()[0] for suggestions in groups for one in suggestions]


# The list


def test_the_list_has_single_words_as_cleaned_texts_spell_them():
    words = offensive_words()
    assert len(words) > 500
    assert all(word == clean_string(word) and " " not in word and word for word in words)
    assert {"damn", "bastard"} <= words and words.isdisjoint({"gay", "god", "hiv", "cat", "", "2 girls 1 cup"})


def test_every_exception_is_on_the_list_of_the_package():
    assert set((files("better_profanity") / "profanity_wordlist.txt").read_text().lower().split()) >= HARMLESS


@pytest.mark.parametrize("file_name", ["requirements.txt", "constraints.txt", "src/deploy/example.py"])
def test_the_package_that_the_error_names_is_the_pinned_one(file_name):
    [pinned] = re.findall(r"better-profanity==[\d.]+", (ROOT / file_name).read_text(encoding="utf-8"))
    assert pinned == PACKAGE


@pytest.mark.parametrize("is_installed", [True, False])
def test_without_the_list_one_sentence_says_what_to_do(is_installed, tmp_path, monkeypatch):
    def find(name):
        if not is_installed:
            raise ModuleNotFoundError(f"No module named {name!r}")
        return tmp_path

    monkeypatch.setattr(offensive, "files", find)
    offensive_words.cache_clear()
    with pytest.raises(WordListError, match=f"^The list .* can't be read: run `pip install {PACKAGE}`, or allow such"):
        offensive_words()


# Completions


def test_the_next_best_word_takes_the_place_of_the_most_probable(completer):
    prefix, filtered = ["what the"], FilteredCompleter(completer, offensive_words())
    assert words_of(completer.complete(prefix, 2)) == ["damn", "hell"]
    assert words_of(filtered.complete(prefix, 3)) == ["dog", "cat", "bus"]
    assert words_of(filtered.complete(prefix)) == ["dog"]


def test_half_typed_words_are_filtered_and_what_was_typed_is_kept(completer):
    filtered = FilteredCompleter(completer, offensive_words())
    assert words_of(filtered.complete(["what the d"], 1, half_typed=True)) == ["dog"]
    # Nothing else begins with these letters in the training texts; what the search still finds begins with them.
    for prefix in ("what the dam", "what the damn"):
        [found] = filtered.complete([prefix], 2, half_typed=True)
        assert all(one.text.startswith("dam") and one.text.split()[0] not in offensive_words() for one in found)
    assert filtered.complete(["what the dog damn "], 2, True) == completer.complete(["what the dog damn "], 2, True)


def test_a_suggestion_ends_before_the_word(completer):
    [[whole]], [[cut]] = (
        one.complete(["the"]) for one in (completer, FilteredCompleter(completer, frozenset({"did", "damn"})))
    )
    assert whole.text in ("dog did", "dog damn it") and cut.text == "dog"
    assert (cut.confidence, cut.next_word_probability) == (whole.confidence, whole.next_word_probability)


def test_each_prefix_of_several_is_completed_as_alone(completer):
    prefixes, filtered = ["what the", "what", "the dog"], FilteredCompleter(completer, offensive_words())
    together = filtered.complete(prefixes, 3)
    for prefix, found in zip(prefixes, together):
        [alone] = filtered.complete([prefix], 3)
        assert [one.text for one in found] == [one.text for one in alone]
    assert filtered.complete([]) == []
    assert filtered.completes_first_words == completer.completes_first_words


def test_the_errors_are_those_of_the_completer(completer):
    filtered = FilteredCompleter(completer, offensive_words())
    with pytest.raises(PrefixError, match=r"^prefix 1 \('привет'\) has no letters"):
        filtered.complete(["what the", "привет"])
    for n in (0, -1):
        with pytest.raises(ValueError, match=f"n is {n}"):
            filtered.complete(["what the"], n)
    with pytest.raises(TypeError, match="prefixes is one text, 'what the'"):
        filtered.complete("what the", 1)


@given(
    texts=st.lists(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=3).map(" ".join), max_size=30, unique=True),
    left_out=st.frozensets(st.sampled_from("abcdef"), max_size=5),
    n=st.integers(1, 4),
)
@examples(300)
def test_suggestions_are_the_best_that_are_left_after_dropping_and_cutting(texts, left_out, n):
    asked = []

    def complete(prefixes, wanted, half_typed, max_new_tokens):
        asked.append(wanted)
        return [[Completion(text, -1.0) for text in texts[:wanted]] for _ in prefixes]

    [found] = complete_without(left_out, complete, ["so very"], n, False, 20)
    kept = [re.split(f"(?:^| )(?:{'|'.join(left_out)})(?: |$)", text)[0] if left_out else text for text in texts]
    expected = [text for text in dict.fromkeys(kept[: MAX_FACTOR * n]) if text]
    assert [one.text for one in found] == expected[:n]
    # More are asked for only where some are dropped.
    assert asked[0] == n and (len(asked) == 1 or len(set(kept[:n]) - {""}) < n)
