"""Behaviour of the floors: the constant answer and the trigrams with back-off."""

from collections import Counter
from statistics import mean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from src.baselines import ConstantAnswer, TrigramBackoff
from src.data_utils import split_x_target_by_words

# Few words, so that n-grams repeat; "nan" and "null" must be words like any other.
WORDS = ["a", "b", "c", "nan", "null"]


def corpora(min_words=1):
    text = st.lists(st.sampled_from(WORDS), min_size=min_words, max_size=8).map(" ".join)
    return st.lists(text, min_size=1, max_size=8)


# Constant answer


def mean_rouge1(answer, texts):
    scorer = RougeScorer(["rouge1"])
    return mean(scorer.score(split_x_target_by_words(text)[1], answer)["rouge1"].fmeasure for text in texts)


@pytest.mark.parametrize(
    ("targets", "answer"),
    [
        # "x" alone scores 4/5; with "y" every target gives 2 * 1 / (2 + 1).
        ("xxxxy", "x"),
        # "x" alone scores 3/5, less than the 2/3 of both.
        ("xxxyy", "x y"),
        # A third, 4/9 and 1/2 with one, two and three words.
        ("xyz", "x y z"),
    ],
)
def test_the_constant_answer_grows_while_its_rouge_does(targets, answer):
    baseline = ConstantAnswer([f"the {target}" for target in targets])
    assert baseline.answer == answer
    assert baseline.complete(["i am", "", "x y"]) == [answer] * 3
    assert baseline.complete([]) == []


def test_only_the_targets_count_for_the_constant_answer():
    assert ConstantAnswer(["the the the the the the cat dog"] * 2).answer in ("cat dog", "dog cat")
    # A target of "x x" has two words: "x" scores 2/3 on five of six, "x y" only 1/2 on those and 2/3 on the last.
    assert ConstantAnswer(["a a a a a a x x"] * 5 + ["b y"]).answer == "x"


def test_the_constant_answer_is_chosen_among_the_candidates_on_the_first_targets():
    texts = ["the x"] * 3 + ["the y"] * 2 + ["the z"] * 9
    assert ConstantAnswer(texts).answer == "z"
    assert ConstantAnswer(texts, max_targets=5).answer == "x y"
    assert ConstantAnswer(texts, num_candidates=1, max_targets=5).answer == "x"


@settings(deadline=None, max_examples=60)
@given(corpora(min_words=2))
def test_no_other_step_of_the_greedy_choice_has_a_better_rouge(texts):
    answer = ConstantAnswer(texts).answer.split(" ")
    best = mean_rouge1(" ".join(answer), texts)
    assert len(set(answer)) == len(answer)
    assert all(mean_rouge1(word, texts) <= best + 1e-9 for word in WORDS)
    assert mean_rouge1(" ".join(answer[:-1]), texts) <= best + 1e-9
    for word in set(WORDS) - set(answer):
        assert mean_rouge1(" ".join([*answer, word]), texts) <= best + 1e-9
        assert mean_rouge1(" ".join([*answer[:-1], word]), texts) <= best + 1e-9


# Trigrams

END = ""


def follower_counts(texts, history, allow_end):
    """How often each word follows the longest known context of at most two words, by plain counting."""
    for length in (2, 1, 0):
        counts = Counter()
        for text in texts:
            words = [*text.split(" "), END]
            for i in range(length, len(words)):
                if length <= len(history) and words[i - length : i] == history[len(history) - length :]:
                    counts[words[i]] += allow_end or words[i] != END
        if +counts:
            return +counts
    raise AssertionError("no words at all")


@settings(deadline=None, max_examples=60)
@given(corpora(), st.lists(st.sampled_from([*WORDS, "unknown"]), min_size=1, max_size=4))
def test_every_word_is_a_most_frequent_follower(texts, prefix):
    [answer] = TrigramBackoff(texts).complete([" ".join(prefix)])
    answer = answer.split(" ")
    assert 1 <= len(answer) <= 20
    for i, word in enumerate(answer if len(answer) == 20 else [*answer, END]):
        counts = follower_counts(texts, prefix + answer[:i], allow_end=i > 0)
        assert counts[word] == max(counts.values())


@pytest.mark.parametrize(
    ("prefix", "answer"),
    [
        # "a b" was followed by c once, although b was mostly followed by d.
        ("a b", "c"),
        ("x a b", "c"),
        # After "z b" nothing is known, after b mostly d.
        ("z b", "d"),
        ("unknown b", "d"),
        ("b", "d"),
        # Never seen: the most frequent word, d, and then what followed d (the end).
        ("b unknown", "d"),
        ("unknown", "d"),
        # Prefixes are cleaned.
        ("A, b!", "c"),
        ("  a   b ", "c"),
    ],
)
def test_the_longest_known_context_decides(prefix, answer):
    baseline = TrigramBackoff(["a b c", "q b d", "q b d", "r b d", "z d", "z d"])
    assert baseline.complete([prefix]) == [answer]


def test_one_answer_for_each_prefix_in_order():
    baseline = TrigramBackoff(["a b c", "d e f"])
    assert baseline.complete(["d", "a", "d e"]) == ["e f", "b c", "f"]
    assert baseline.complete([]) == []


def test_an_answer_ends_where_the_end_is_most_frequent():
    assert TrigramBackoff(["a b", "a b", "a b c"]).complete(["a"]) == ["b"]
    assert TrigramBackoff(["a b", "a b c", "a b c"]).complete(["a"]) == ["b c"]


def test_the_first_word_is_never_the_end():
    # After "a b" and after "b" there was always the end: the most frequent word follows.
    assert TrigramBackoff(["a b", "a b", "c b"]).complete(["a b"]) == ["b"]
    # After "a b" mostly the end, but once c.
    assert TrigramBackoff(["a b", "a b", "a b c"]).complete(["a b"]) == ["c"]
    # The end is more frequent than any word.
    assert TrigramBackoff(["a", "b", "a"]).complete(["unknown"]) == ["a"]


def test_a_loop_stops_after_twenty_words():
    baseline = TrigramBackoff(["a b a b a b a b"])
    assert baseline.complete(["b a"]) == [" ".join(["b", "a"] * 10)]


def test_no_context_crosses_from_one_tweet_into_the_next():
    # The next tweet always goes on with c, but within a tweet b has no follower: f is the most frequent word.
    assert TrigramBackoff(["a b", "c f", "a b", "c f", "f"]).complete(["a b", "b"]) == ["f", "f"]


def test_an_empty_prefix_is_answered_by_the_most_frequent_word():
    # Not by the word that most often follows an end, which is a.
    assert TrigramBackoff(["a b", "a b", "c b", "a b"]).complete([""]) == ["b"]
