"""Near-duplicates and verbatim copies: by hand, and against comparing every text with every other."""

import time
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from src.evaluation.leakage import near_duplicates, nearest_similarity, verbatim_share

ROWS = ["1", "2", "3", "4", "5", "6 or more", "all"]
# Few words, so that texts resemble each other; "aa" must never count as "a".
words = st.sampled_from(["a", "b", "c", "aa"])
texts_of = st.lists(st.lists(words, max_size=12).map(" ".join), max_size=12)


def shingle_set(text):
    words = text.split()
    return set(words) if len(words) == 1 else set(pairwise(words))


def jaccard(a, b):
    return len(a & b) / len(a | b) if a | b else 0.0


def occurs_in(tail, texts):
    return bool(tail) and any(f" {tail} " in f" {text} " for text in texts)


# Near-duplicates


@given(texts=texts_of, training_texts=texts_of, threshold=st.floats(0.01, 1.0) | st.sampled_from([0.07, 0.5, 0.7, 1.0]))
def test_near_duplicates_equal_those_of_comparing_all_pairs(texts, training_texts, threshold):
    training_sets = [shingle_set(text) for text in training_texts]
    expected = [any(jaccard(shingle_set(text), b) >= threshold for b in training_sets) for text in texts]
    found = near_duplicates(texts, training_texts, threshold)
    assert found.dtype == bool and found.shape == (len(texts),)
    assert found.tolist() == expected


@pytest.mark.parametrize("size", range(1, 31))
@pytest.mark.parametrize("share", [0.07, 0.29, 0.57, 0.7, 0.9])
def test_a_pair_exactly_at_the_threshold_is_found(size, share):
    # Only the first `num_shared` bigrams of the longer text are in the other one.
    num_shared = max(1, round(share * size))
    a = [f"w{i}" for i in range(num_shared + 1)]
    longer = " ".join([*a, *(f"x{i}" for i in range(size - num_shared))])
    similarity = jaccard(shingle_set(longer), shingle_set(" ".join(a)))
    assert near_duplicates([longer], [" ".join(a)], similarity).tolist() == [True]
    assert near_duplicates([" ".join(a)], [longer], similarity).tolist() == [True]
    if similarity < 1:
        assert near_duplicates([longer], [" ".join(a)], np.nextafter(similarity, 1)).tolist() == [False]


@pytest.mark.parametrize(
    "text, training_text, expected",
    [
        ("so glad it is friday at last", "so glad it is friday at last", True),
        ("so glad it is friday at last", "so glad it is friday at last yes", True),  # 6 of 7
        ("so glad it is friday at last", "oh so glad it is friday at last yes yes", False),  # 6 of 9
        ("so glad it is friday at last", "at last it is friday so glad", False),  # the same words
        ("hello", "hello", True),
        ("hello", "hello hello", False),
        ("ha ha ha ha", "ha ha", True),
        ("it is", "itis", False),
        ("a bc", "ab c", False),
        ("", "", False),
        ("", "hello", False),
    ],
)
def test_near_duplicates_by_hand(text, training_text, expected):
    assert near_duplicates([text], ["another text", training_text, ""]).tolist() == [expected]
    assert near_duplicates([training_text], [text]).tolist() == [expected]


@pytest.mark.parametrize("texts", [[], ["a b c", ""]])
@pytest.mark.parametrize("training_texts", [[], [""], ["d e"]])
def test_empty_texts_have_no_near_duplicate(texts, training_texts):
    assert near_duplicates(texts, training_texts).tolist() == [False] * len(texts)


@pytest.mark.parametrize("threshold", [0, -0.1, 1.01, float("nan")])
def test_a_threshold_outside_0_to_1_is_refused(threshold):
    with pytest.raises(ValueError, match=r"threshold is .*: give a similarity above 0, at most 1"):
        near_duplicates(["a b"], ["a b"], threshold)


@given(texts=texts_of, training_texts=texts_of, low=st.floats(0.05, 1.0), high=st.floats(0.05, 1.0))
def test_a_lower_threshold_finds_what_a_higher_one_finds(texts, training_texts, low, high):
    low, high = sorted([low, high])
    found_high = near_duplicates(texts, training_texts, high)
    assert (near_duplicates(texts, training_texts, low) >= found_high).all()
    copies = near_duplicates(texts, [*training_texts, *texts], high)
    assert copies.tolist() == [bool(text) for text in texts]


# The nearest training text


@given(texts=texts_of, training_texts=texts_of)
def test_the_nearest_similarity_equals_that_of_comparing_all_pairs(texts, training_texts):
    training_sets = [shingle_set(text) for text in training_texts]
    expected = [max((jaccard(shingle_set(text), b) for b in training_sets), default=0.0) for text in texts]
    found = nearest_similarity(texts, training_texts)
    assert found.dtype == np.float64 and found.tolist() == expected


@given(texts=texts_of, training_texts=texts_of, threshold=st.floats(0.05, 1.0))
def test_near_duplicates_are_the_texts_with_a_near_training_text(texts, training_texts, threshold):
    near = nearest_similarity(texts, training_texts) >= threshold
    assert near.tolist() == near_duplicates(texts, training_texts, threshold).tolist()


# Verbatim copies


@given(tails=texts_of, training_texts=texts_of)
@example(tails=["a a a a", "a a"], training_texts=["a a a b a a a"])
@example(tails=["a b"], training_texts=["c a", "b c"])
def test_verbatim_shares_equal_those_of_searching_every_text(tails, training_texts):
    found = pd.Series([occurs_in(tail, training_texts) for tail in tails], dtype=float)
    lengths = pd.Series([len(tail.split()) for tail in tails], dtype=int)
    table = verbatim_share(tails, training_texts)
    assert table.index.tolist() == ROWS
    for row, where in zip(ROWS, [*(lengths == n for n in range(1, 6)), lengths >= 6, lengths >= 0]):
        assert table.loc[row, "tails"] == where.sum()
        assert table.loc[row, "verbatim"] == pytest.approx(found[where].mean(), nan_ok=True)


@pytest.mark.parametrize(
    "tail, training_texts, share",
    [
        ("am", ["spam and ham"], 0.0),
        ("am", ["here i am"], 1.0),
        ("i am here", ["here i am", "i am", "am here"], 0.0),
        ("i am here", ["now i am here again"], 1.0),
        ("one two three four five six seven", ["zero one two three four five six seven"], 1.0),
        ("one two three four five six seven", ["one two three four five six", "seven"], 0.0),
        ("new", ["old"], 0.0),
        ("new", [], 0.0),
        ("new", [""], 0.0),
        ("", ["", "a b"], 0.0),
    ],
)
def test_only_consecutive_complete_words_are_found(tail, training_texts, share):
    assert verbatim_share([tail], training_texts).loc["all", "verbatim"] == share


def test_the_table_by_number_of_words():
    training_texts = ["i love my dog so much today", "good night all"]
    tails = ["dog", "cat", "", "good night", "love my dog so much", "i love my dog so much", "x y z x y z x y z"]
    expected = pd.DataFrame(
        {"tails": [2, 1, 0, 0, 1, 2, 7], "verbatim": [0.5, 1.0, np.nan, np.nan, 1.0, 0.5, 4 / 7]},
        index=pd.Index(ROWS, name="words"),
    )
    pd.testing.assert_frame_equal(verbatim_share(tails, training_texts), expected)


def test_without_tails_there_is_no_share():
    table = verbatim_share([], ["a b"])
    assert table["tails"].tolist() == [0] * 7
    assert table["verbatim"].isna().all()


@given(training_texts=texts_of, data=st.data())
def test_every_run_of_words_of_a_training_text_is_found(training_texts, data):
    source = data.draw(st.sampled_from([*training_texts, "c b a"])).split()
    start = data.draw(st.integers(0, len(source)))
    tails = [" ".join(source[start:end]) for end in range(start + 1, len(source) + 1)]
    table = verbatim_share(tails, [*training_texts, "c b a"])
    assert (table["verbatim"].dropna() == 1).all()


# Speed


def made_up_texts(num_texts, seed):
    """Texts of 13 words on average. Word frequencies follow a Zipf distribution, as in real text."""
    rng = np.random.default_rng(seed)
    vocabulary = np.array([f"w{i}" for i in range(30_000)])
    lengths = rng.integers(2, 25, num_texts)
    drawn = vocabulary[np.minimum(rng.zipf(1.3, lengths.sum()), 30_000) - 1]
    return [" ".join(words) for words in np.split(drawn, np.cumsum(lengths)[:-1])]


def test_many_texts_take_seconds():
    # Comparing all 10^8 pairs would take minutes.
    texts, training_texts = made_up_texts(5_000, 0), made_up_texts(20_000, 1)
    started = time.process_time()
    copies = near_duplicates([*texts, training_texts[7]], training_texts)
    table = verbatim_share([" ".join(text.split()[-4:]) for text in texts], training_texts)
    assert copies[-1] and table.loc["all", "tails"] == 5_000
    assert time.process_time() - started < 10
