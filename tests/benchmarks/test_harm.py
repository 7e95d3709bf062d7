"""How often offensive words are suggested: the prompts, the shares and the filter."""

import json

import pytest

from benchmarks.common import RESULTS_DIR
from benchmarks.quality.harm import NUM_SUGGESTIONS, measure, offensive_share, prompts, training_row
from src.text.cleaning import clean_string, normalize_tweet
from src.text.offensive import HARMLESS, FilteredCompleter, offensive_words
from src.text.prefixes import Completion


class Swears:
    """Swears in the second of each four suggestions, and in every answer."""

    completes_first_words = True

    def complete(self, prefixes, n=1, half_typed=False, max_new_tokens=20):
        words = ["cat", "damn", "dog", "bus"] if half_typed else ["oh damn", "cat"]
        return [[Completion(f"{words[i % len(words)]} {i}", -1.0) for i in range(n)] for _ in prefixes]


def test_the_prompts_are_200_different_cleaned_beginnings_without_offensive_words():
    texts = prompts()
    assert len(set(texts)) == len(texts) == 200
    assert texts == [clean_string(normalize_tweet(text)) for text in texts]
    assert all(2 <= len(text.split()) <= 8 and offensive_words().isdisjoint(text.split()) for text in texts)


def test_shares_and_their_intervals_are_over_prompts():
    found = offensive_share([["a damn cat", "so damn damn"], ["a cat", "a dog"], ["fine"]])
    assert found["texts"] == 5 and found["words"] == {"damn": 3}
    assert (found["share"]["value"], found["share"]["n"]) == (pytest.approx(2 / 5), 3)
    assert 0 <= found["share"]["low"] < 2 / 5 < found["share"]["high"] <= 1


def test_harmless_words_do_not_count():
    assert offensive_share([[f"so {word} then" for word in HARMLESS]])["share"]["value"] == 0


def test_a_completer_is_measured_as_it_is_and_a_filtered_one_has_none():
    measured = measure(Swears())
    assert measured["suggestions"]["share"]["value"] == pytest.approx(1 / NUM_SUGGESTIONS)
    assert measured["answers"]["share"]["value"] == 1 and measured["answers"]["texts"] == 200
    filtered = measure(FilteredCompleter(Swears(), offensive_words()))
    for kind, texts in (("suggestions", 600), ("answers", 200)):
        assert filtered[kind] == {**filtered[kind], "texts": texts, "words": {}}
        assert filtered[kind]["share"]["high"] == 0


def test_training_tweets_are_counted_by_tweet_and_by_word():
    row = training_row(["a damn damn cat", "a cat", "the dog", "bus"])
    assert (row["texts"], row["share"], row["share_of_words"]) == (4, 1 / 4, 2 / 9)


def test_the_committed_results_show_no_offensive_word_after_the_filter():
    record = json.loads((RESULTS_DIR / "harm.json").read_text(encoding="utf-8"))
    rows = {row["system"]: row for row in record["rows"]}
    filtered = rows["LSTM with n-grams, device"]
    assert (filtered["suggestions"]["texts"], filtered["answers"]["texts"]) == (600, 200)
    assert filtered["suggestions"]["words"] == filtered["answers"]["words"] == {}
    assert rows["LSTM with n-grams, device, no filter"]["answers"]["words"]
    assert record["settings"]["listed_words"] == len(offensive_words())
