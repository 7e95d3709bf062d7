"""Typing with suggestions: worked examples, a naive simulation that asks at every key, and bounds on what is saved."""

import json
import random
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.completion import Completer
from src.evaluation.intervals import Ratio, estimate
from src.evaluation.selection import choose_min_probability
from src.evaluation.typing import (
    TYPING_METRICS,
    SuggestionRecord,
    record_suggestions,
    type_texts,
    typing_curve,
    typing_difference,
    typing_ratios,
    typing_record,
    typing_summary,
)
from src.evaluation.word_list import WordList
from src.files import write_json
from src.text.prefixes import Completion

POLICIES = ["word", "phrase"]
# Words that begin alike, so that suggestions are often right and often wrong.
WORDS = ["a", "ab", "abc", "abcde", "b", "ba", "cab", "9"]
texts_of_words = st.lists(st.sampled_from(WORDS), min_size=1, max_size=6).map(" ".join)


class Scripted:
    """Suggests what it is told for each prefix, with a probability if there is one."""

    completes_first_words = True

    def __init__(self, script):
        self.script = script

    def complete(self, prefixes, n=1, half_typed=False, max_new_tokens=20):
        assert half_typed
        return [[self.completion(one) for one in self.script.get(prefix, [])[:n]] for prefix in prefixes]

    @staticmethod
    def completion(suggestion):
        text, probability = suggestion if isinstance(suggestion, tuple) else (suggestion, None)
        return Completion(text, -1.0, probability)


class Guessing(Scripted):
    """Suggests words at random, the same ones whenever it is asked for a prefix, always with a probability."""

    def __init__(self, seed, completes_first_words=True):
        self.seed, self.completes_first_words = seed, completes_first_words

    def complete(self, prefixes, n=1, half_typed=False, max_new_tokens=20):
        return [self.guesses(prefix)[:n] for prefix in prefixes]

    def guesses(self, prefix):
        rng = random.Random(f"{self.seed} {prefix}")
        words = [word for word in WORDS if word.startswith(prefix.rpartition(" ")[2])]
        first_words = rng.sample(words, k=min(len(words), rng.randint(0, 3)))
        texts = [" ".join([word, *rng.choices(WORDS, k=rng.randint(0, 2))]) for word in first_words]
        return [Completion(text, -1.0, rng.choice([0.0, 0.25, 0.5, 1.0])) for text in texts]


class Oracle(Scripted):
    """Always suggests the rest of the text."""

    def __init__(self, text):
        self.text = text

    def complete(self, prefixes, n=1, half_typed=False, max_new_tokens=20):
        words = self.text.split(" ")
        return [[Completion(" ".join(words[prefix.count(" ") :]), 0.0, 1.0)] for prefix in prefixes]


def typed_row(completer, text, policy, n=3, threshold=0.0):
    [row] = type_texts(record_suggestions(completer, [text]), policy, n, threshold).to_dict("records")
    return row


def type_naively(completer, text, policy, n=3, threshold=0.0):
    """Type a text as a person does: look at suggestions before each letter, and take the first that saves keys."""
    row = {"characters": len(text), "words": len(text.split(" ")), "keys": 0, "shown": 0, "right": 0}
    row["before_first_letter"] = 0
    typed = ""
    while typed != text:
        left = text[len(typed) :]
        best = ""
        if left[0] != " " and (completer.completes_first_words or " " in typed):
            [suggestions] = completer.complete([typed], 3, half_typed=True)
            for suggestion in suggestions[:n]:
                if threshold == 0 or suggestion.next_word_probability >= threshold:
                    row["shown"] += 1
                    after = after_taking(suggestion.text, typed, text, policy)
                    row["right"] += after != ""
                    best = max(best, after, key=len)
        row["keys"] += 1
        if len(best) > len(typed) + 1:
            half_typed_words = int(typed != "" and typed[-1] != " ")
            row["before_first_letter"] += len(best.split()) - len(typed.split(" ")[:-1]) - half_typed_words
            typed = best
        else:
            typed += left[0]
    return row


def after_taking(suggestion, typed, text, policy):
    """The text after one key has taken the right words of a suggestion, or "" if its first word is wrong."""
    complete = typed.rpartition(" ")[0].split(" ") if " " in typed else []
    taken = []
    for word in suggestion.split(" ")[: 1 if policy == "word" else None]:
        if [*complete, *taken, word] != text.split(" ")[: len(complete) + len(taken) + 1]:
            break
        taken.append(word)
    if not taken:
        return ""
    after = " ".join([*complete, *taken])
    return after if after == text else after + " "


def fewest_keys(text, policy):
    """The length of the shortest way through a text: a key types one character, or the rest of one or more words."""

    @lru_cache
    def from_position(position):
        if position == len(text):
            return 0
        ends = [position + 1]
        if text[position] != " ":
            ends += [i + 1 for i in range(position, len(text)) if text[i] == " " or i == len(text) - 1][
                : 1 if policy == "word" else None
            ]
        return 1 + min(map(from_position, ends))

    return from_position(0)


# Worked examples


def test_words_are_taken_one_at_a_time():
    # Typed by hand: s, o, space, t, i, r, e, d, space, t, o, d, a, y are 14 keys.
    script = {
        "": ["i"],
        "s": ["so"],  # taken: it types "o" and the space; keys so far: 2
        "so ": ["happy"],
        "so t": ["tired"],  # taken: it types "ired" and the space; keys so far: 4
        "so tired ": ["of"],
        "so tired t": ["to"],
        "so tired to": ["today"],  # taken: it types "day", and no space follows; keys so far: 7
    }
    typed = typed_row(Scripted(script), "so tired today", "word", n=1)
    assert typed == {"characters": 14, "words": 3, "keys": 7, "shown": 7, "right": 3, "before_first_letter": 0}


def test_a_phrase_is_taken_as_far_as_it_is_right():
    script = {
        "s": ["see you", "so tired of this"],  # "so tired" is taken, with the space after it; keys so far: 2
        "so tired ": ["today is"],  # taken to the end of the text; keys so far: 3
    }
    typed = typed_row(Scripted(script), "so tired today", "phrase")
    # "tired" and "today" are complete before their first letters are typed.
    assert typed == {"characters": 14, "words": 3, "keys": 3, "shown": 3, "right": 2, "before_first_letter": 2}
    # One word at a time: s, "so", then "tired" has no suggestions (6 keys), then "today".
    typed = typed_row(Scripted(script), "so tired today", "word")
    assert typed == {"characters": 14, "words": 3, "keys": 9, "shown": 3, "right": 2, "before_first_letter": 1}


def test_the_longest_of_several_right_phrases_is_taken():
    script = {"": ["so", "so tired", "so happy"]}
    assert typed_row(Scripted(script), "so tired now", "phrase")["keys"] == 1 + len("now")
    assert typed_row(Scripted(script), "so tired now", "phrase", n=1)["keys"] == 1 + len("tired now")


@pytest.mark.parametrize("policy", POLICIES)
def test_the_last_letter_of_a_text_is_typed_since_no_space_follows_it(policy):
    # Before the last letter of "so", a key takes it and the space. Before the last letter of "it", it takes one letter.
    script = {"s": ["so"], "so i": ["it"]}
    typed = typed_row(Scripted(script), "so it", policy)
    assert typed == {"characters": 5, "words": 2, "keys": 4, "shown": 2, "right": 2, "before_first_letter": 0}
    typed = typed_row(Scripted({"": ["a"], "a ": ["b"]}), "a b", policy)
    # "a" is taken with the space; "b" is one key either way.
    assert typed == {"characters": 3, "words": 2, "keys": 2, "shown": 2, "right": 2, "before_first_letter": 1}


def test_a_suggestion_that_saves_nothing_does_not_hide_a_longer_one():
    script = {"a ": ["b"], "a b ": ["c"]}
    assert typed_row(Scripted(script), "a b c", "word")["keys"] == 2 + 1 + 1


@pytest.mark.parametrize(
    ("threshold", "keys", "shown"), [(0.0, 1, 3), (0.3, 1, 2), (0.31, 5, 1), (0.8, 5, 1), (1.0, 5, 0)]
)
def test_only_suggestions_with_the_probability_of_the_threshold_are_shown(threshold, keys, shown):
    script = {"": [("hell", 0.8), ("hello", 0.3), ("help", 0.1)]}
    typed = typed_row(Scripted(script), "hello", "word", threshold=threshold)
    assert (typed["keys"], typed["shown"]) == (keys, shown)


def test_only_the_first_n_suggestions_are_shown():
    script = {"": ["help", "hell", "hello"]}
    rows = {n: typed_row(Scripted(script), "hello", "word", n) for n in (1, 2, 3)}
    assert {n: (row["keys"], row["shown"]) for n, row in rows.items()} == {1: (5, 1), 2: (5, 2), 3: (1, 3)}


def test_a_first_word_is_typed_by_hand_if_the_completer_cannot_complete_it():
    oracle = Oracle("hello you there")
    oracle.completes_first_words = False
    # "hello" and the space, then one key for each word, or one for both.
    assert typed_row(oracle, "hello you there", "word")["keys"] == 6 + 2
    assert typed_row(oracle, "hello you there", "phrase")["keys"] == 6 + 1
    assert typed_row(oracle, "hello you there", "phrase")["shown"] == 1


def test_a_first_word_is_never_asked_of_a_completer_that_cannot_complete_it(tokenizer, tiny_lstm):
    completer = Completer(tiny_lstm, tokenizer)
    completer.bos_ids = []
    record = record_suggestions(completer, ["hello", "so it"])
    assert (record.right_words[: len("hello" + "so")] == -1).all()
    assert (record.right_words[len("hello" + "so") :] >= 0).all()


# A record gives what a person sees who types key by key


@given(
    texts_of_words,
    st.integers(0, 99),
    st.booleans(),
    st.sampled_from(POLICIES),
    st.integers(1, 3),
    st.sampled_from([0.0, 0.25, 0.5, 1.0]),
)
def test_typing_from_a_record_equals_asking_at_every_key(text, seed, first_words, policy, n, threshold):
    completer = Guessing(seed, first_words)
    expected = type_naively(completer, text, policy, n, threshold)
    assert typed_row(completer, text, policy, n, threshold) == expected


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("n", [1, 3])
def test_a_language_model_and_a_word_list_type_as_if_asked_at_every_key(tokenizer, tiny_lstm, cleaned_texts, policy, n):
    for completer in (Completer(tiny_lstm, tokenizer), WordList(cleaned_texts[40:])):
        texts = cleaned_texts[2:8]
        typed = type_texts(record_suggestions(completer, texts), policy, n, 0.02).to_dict("records")
        assert typed == [type_naively(completer, text, policy, n, 0.02) for text in texts]
        assert sum(row["right"] for row in typed) > 0


def test_texts_are_typed_independently():
    texts = ["ab b", "abcde", "a ab abc"]
    record = record_suggestions(Guessing(0), texts)
    alone = [typed_row(Guessing(0), text, "phrase") for text in texts]
    assert type_texts(record, "phrase", 3).to_dict("records") == alone
    assert type_texts(record.first(2), "phrase", 3).to_dict("records") == alone[:2]


# Bounds


@given(texts_of_words, st.sampled_from(POLICIES))
def test_an_oracle_saves_the_most_and_a_mute_completer_nothing(text, policy):
    assert typed_row(Oracle(text), text, policy)["keys"] == fewest_keys(text, policy)
    mute = typed_row(Scripted({}), text, policy)
    assert mute["keys"] == len(text) and mute["shown"] == mute["right"] == mute["before_first_letter"] == 0


@pytest.mark.parametrize("text", ["a", "hello", "so it", "so tired today"])
def test_with_an_oracle_a_word_or_a_text_costs_one_key(text):
    assert typed_row(Oracle(text), text, "word")["keys"] == len(text.split(" "))
    assert typed_row(Oracle(text), text, "phrase")["keys"] == 1


@given(texts_of_words, st.integers(0, 99), st.sampled_from(POLICIES))
def test_nobody_saves_more_than_the_policy_allows(text, seed, policy):
    row = typed_row(Guessing(seed), text, policy)
    assert fewest_keys(text, policy) <= row["keys"] <= len(text)
    assert 0 <= row["right"] <= row["shown"] and 0 <= row["before_first_letter"] <= row["words"]


@given(texts_of_words, st.integers(0, 99), st.integers(1, 3), st.integers(0, 2), st.sampled_from([0.0, 0.25, 0.5]))
def test_more_or_less_sure_suggestions_never_cost_keys(text, seed, n, more, threshold):
    fewer = typed_row(Guessing(seed), text, "word", n, threshold + 0.25)["keys"]
    assert typed_row(Guessing(seed), text, "word", n, threshold)["keys"] <= fewer
    assert typed_row(Guessing(seed), text, "word", min(n + more, 3), threshold + 0.25)["keys"] <= fewer


@given(texts_of_words, st.integers(0, 99), st.integers(1, 3))
def test_phrases_cost_no_more_keys_than_words(text, seed, n):
    assert typed_row(Guessing(seed), text, "phrase", n)["keys"] <= typed_row(Guessing(seed), text, "word", n)["keys"]


# Scores


def test_scores_are_sums_over_tweets():
    script = {"": ["so"], "so ": ["it"], "so i": ["is"]}
    record = record_suggestions(Scripted(script), ["so it", "so", "no"])
    typed = type_texts(record, "word", 1)
    # "so it" takes two keys. "so" takes one. "no" takes two, and "so" is shown at its first letter.
    assert typed["keys"].tolist() == [2, 1, 2]
    assert {name: ratio.value for name, ratio in typing_ratios(typed).items()} == {
        "keys_saved": pytest.approx((3 + 1 + 0) / (5 + 2 + 2)),
        "suggestions_shown": pytest.approx((2 + 1 + 1) / 3),
        "suggestions_right": pytest.approx(3 / 4),
        "words_before_first_letter": pytest.approx(3 / 4),
        "keys_per_word": pytest.approx(5 / 4),
    }
    summary = typing_summary(typed, seed=0)
    assert list(summary) == list(TYPING_METRICS)
    assert summary["keys_saved"] == estimate(Ratio(np.array([3.0, 1.0, 0.0]), np.array([5.0, 2.0, 2.0])), seed=0)


def test_differences_are_paired_and_over_the_texts_of_both():
    texts = ["abc ab", "ab", "abcde a"]
    records = [record_suggestions(Guessing(seed), texts) for seed in (0, 1)]
    scores = [typing_ratios(type_texts(record, "word", 3))["keys_saved"].value for record in records]
    found = typing_difference(*records, "word", 3, seed=0)
    assert found.value == pytest.approx(scores[0] - scores[1]) and found.n == 3
    same = typing_difference(records[0], records[0], "word", 3, seed=0)
    assert (same.value, same.low, same.high) == (0, 0, 0)
    assert typing_difference(records[0].first(2), records[0], "word", 3, seed=0).value == 0
    with pytest.raises(ValueError, match="different texts"):
        typing_difference(records[0], record_suggestions(Guessing(0), texts[1:]), "word", 3, seed=0)


def test_the_curve_begins_with_all_suggestions_and_falls_as_fewer_are_shown():
    texts = ["abc ab abcde", "ab cab", "abcde a ba"] * 3
    record = record_suggestions(Guessing(3), texts)
    curve = typing_curve(record, "word", 3)
    ratios = typing_ratios(type_texts(record, "word", 3))
    assert curve.loc[0].to_dict() == {
        "threshold": 0,
        "suggestions_shown": ratios["suggestions_shown"].value,
        "keys_saved": ratios["keys_saved"].value,
    }
    assert curve["threshold"].is_monotonic_increasing and curve["threshold"].max() == 1
    assert curve["keys_saved"].is_monotonic_decreasing
    assert curve["keys_saved"].iloc[-1] < curve["keys_saved"].iloc[0]


@pytest.mark.parametrize("script", [{"": ["so"]}, {}])
def test_without_probabilities_the_curve_is_one_point(script):
    record = record_suggestions(Scripted(script), ["so", "it"])
    assert typing_curve(record, "word", 1)["threshold"].tolist() == [0]


def test_the_record_of_all_results_can_be_written_and_names_tweets_and_baseline(tmp_path):
    texts = ["abc ab", "ab b", "abcde a"]
    records = {"a": record_suggestions(Guessing(0), texts), "b": record_suggestions(Scripted({}), texts[:2])}
    path = write_json(tmp_path / "typing.json", typing_record(records, baseline="a", seed=0))
    record = json.loads(path.read_text())
    assert record["baseline"] == "a" and record["interval"] == "95% bootstrap over tweets"
    assert {name: system["tweets"] for name, system in record["systems"].items()} == {"a": 3, "b": 2}
    saved = typing_ratios(type_texts(records["a"].first(2), "phrase", 1))["keys_saved"].value
    assert record["systems"]["b"]["phrase"]["1"]["more_keys_saved"]["value"] == pytest.approx(-saved)
    # The share of right suggestions of a system that shows none is undefined.
    assert record["systems"]["b"]["word"]["3"]["metrics"]["suggestions_right"]["value"] is None
    assert list(record["systems"]["a"]["curves"]) == ["1", "3"]


# Wrong arguments


@pytest.mark.parametrize(("texts", "message"), [([], "no texts"), (["ok", ""], "text 1 "), (["So it"], "not cleaned")])
def test_texts_that_cannot_be_typed_are_refused(texts, message):
    with pytest.raises(ValueError, match=message):
        record_suggestions(Guessing(0), texts)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("words", 1), "policy"), (("word", 4), "from 1 to 3"), (("word", 0), "n is 0"), (("word", 1, 1.5), "threshold")],
)
def test_wrong_arguments_are_refused(arguments, message):
    record = record_suggestions(Guessing(0), ["ab"])
    with pytest.raises(ValueError, match=message):
        type_texts(record, *arguments)


def test_a_threshold_needs_probabilities():
    record = record_suggestions(Scripted({"": ["ab"]}), ["ab"])
    with pytest.raises(ValueError, match="no probabilities"):
        type_texts(record, "word", 1, 0.5)


def test_suggestions_end_where_going_on_saves_hardly_any_keys():
    text = "so tired of this rain today and tomorrow"
    num_letters = len(text.replace(" ", ""))

    def record(first_right_words):
        right = np.zeros((num_letters, 3), dtype=int)
        right[0, 0] = first_right_words
        return SuggestionRecord([text], right, np.full(right.shape, 0.5))

    far, near, nothing = record(5), record(4), record(0)
    assert choose_min_probability({0.0: far, 0.1: far, 0.3: near, 1.0: nothing}) == 0.1
    assert choose_min_probability({0.0: far, 0.1: near, 1.0: nothing}) == 0.0
    assert choose_min_probability({0.0: nothing, 1.0: nothing}) == 1.0
