"""Prepare tweets: cut them into context and target, clean them, remove duplicates, split them."""

from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src import data_utils
from src.corpus.load import Corpus
from src.corpus.rows import BadRow
from src.corpus.splits import DATE_EXAMPLES, SPLITS, assign_splits
from src.data_utils import (
    corpus_record,
    prepare_tweets,
    raw_tweet_shares,
    split_x_target_by_words,
    write_tweets_csv,
)
from src.examples import MESSY_TWEETS
from src.text.cleaning import CLEANING_VERSION
from tests.budget import examples

KEPT = [f"tweet number {i} about tea" for i in range(30)]


def make_corpus(texts, dtype="str", bad_rows=(), users="", dates=""):
    tweets = pd.DataFrame({"text": pd.Series(list(texts), dtype=dtype), "user": users, "date": dates})
    return Corpus("made-up", "made.csv", "abc123", tweets, tuple(bad_rows))


# Raw tweets


def test_the_shares_of_raw_tweets():
    shares = raw_tweet_shares(pd.Series(["@ada hi", "plain", "bit.ly/x &amp; @bob", "café"]))
    assert shares.to_dict() == {"mention": 0.5, "URL": 0.25, "HTML entity": 0.25, "non-ASCII character": 0.25}


# Context and target


@pytest.mark.parametrize(
    "num_words, num_context",
    [(1, 1), (2, 1), (3, 2), (4, 3), (5, 3), (6, 4), (7, 5), (8, 6), (9, 6), (10, 7), (11, 8), (12, 9)],
)
def test_the_context_is_three_quarters_of_the_words(num_words, num_context):
    words = [f"w{i}" for i in range(num_words)]
    context, target = split_x_target_by_words(" ".join(words))
    assert (context, target) == (" ".join(words[:num_context]), " ".join(words[num_context:]))


@given(st.lists(st.text("ab0", min_size=1, max_size=3), min_size=2, max_size=50).map(" ".join))
def test_context_and_target_joined_are_the_text(text):
    context, target = split_x_target_by_words(text)
    assert context and target
    assert f"{context} {target}" == text


# Preparing a corpus


@pytest.mark.parametrize("dtype", [object, "str"])
@pytest.mark.parametrize("chunk_size", [1, 7, 50_000])
def test_removed_and_kept_rows_add_up(dtype, chunk_size, monkeypatch):
    monkeypatch.setattr(data_utils, "CLEANING_CHUNK", chunk_size)
    removed_as_short = ["Hello!", "@ada :-)", "http://bit.ly/x wow", ""]
    removed_as_copies = [
        KEPT[0],
        "Tweet NUMBER 1, about tea!",
        "RT @ada: tweet number 2 about tea",
        KEPT[2] + " bit.ly/x",
    ]
    corpus = make_corpus([*KEPT, *removed_as_short, *removed_as_copies], dtype, [BadRow(3, "bad"), BadRow(9, "bad")])
    prepared = prepare_tweets(corpus, seed=0)
    assert prepared.table["text"].tolist() == KEPT
    assert prepared.counts == {
        **{"rows_read": 40, "bad_rows": 2, "fewer_than_two_words": 4, "duplicates": 4},
        **{"train": 24, "val": 3, "test": 3},
    }
    assert prepared.table["split"].tolist() == assign_splits(30, 0).tolist()
    split = {"counts": prepared.counts, "split_seed": 0, "split_by": "random"}
    assert corpus_record(corpus, prepared) == {**corpus.record(), "cleaning": CLEANING_VERSION, **split}


def test_rows_left_out_on_purpose_are_counted_as_read():
    prepared = prepare_tweets(replace(make_corpus(KEPT, bad_rows=[BadRow(3, "bad")]), left_out={"retweets": 5}), seed=0)
    assert prepared.counts == {
        **{"rows_read": 36, "bad_rows": 1, "retweets": 5, "fewer_than_two_words": 0, "duplicates": 0},
        **{"train": 24, "val": 3, "test": 3},
    }


def test_the_first_of_several_duplicates_is_kept():
    prepared = prepare_tweets(make_corpus(["b b", "a a", "RT @x: b b", *KEPT, "A a!"]), seed=0)
    assert prepared.table["text"].tolist() == ["b b", "a a", *KEPT]


def test_a_tweet_of_two_sources_is_kept_from_the_first_and_counted():
    corpus = make_corpus([*KEPT[:15], KEPT[3], KEPT[0], *KEPT[15:], KEPT[20], "short"])
    corpus.tweets["source"] = ["a"] * 16 + ["b"] * 18
    prepared = prepare_tweets(corpus, seed=0)
    assert prepared.table["text"].tolist() == KEPT
    assert list(prepared.table) == ["text", "source", "split"]
    assert prepared.table["source"].tolist() == ["a"] * 15 + ["b"] * 15
    assert prepared.counts == {
        **{"rows_read": 34, "bad_rows": 0, "fewer_than_two_words": 1, "duplicates": 2, "duplicates_across_sources": 1},
        **{"train": 24, "val": 3, "test": 3},
    }


def test_the_random_split_never_changes():
    prepared = prepare_tweets(make_corpus(KEPT), seed=0)
    assert [i for i, split in enumerate(prepared.table["split"]) if split == "val"] == [3, 13, 27]
    assert [i for i, split in enumerate(prepared.table["split"]) if split == "test"] == [9, 14, 25]
    assert prepare_tweets(make_corpus(KEPT), 0, "random").table.equals(prepared.table)


@examples(0.25)
@given(choice=st.lists(st.integers(0, 29), max_size=60), seed=st.integers(0, 100))
def test_no_text_is_in_two_splits_and_all_are_counted(choice, seed):
    prepared = prepare_tweets(make_corpus([*KEPT[:15], *(KEPT[i].title() for i in choice), "short"]), seed)
    texts = [text for split in SPLITS for text in prepared.texts(split)]
    distinct = set(texts)
    assert len(texts) == len(distinct) == len({*range(15), *choice})
    assert prepared.counts["rows_read"] == 16 + len(choice)
    assert prepared.counts["rows_read"] == sum(count for name, count in prepared.counts.items() if name != "rows_read")


def test_appended_rows_do_not_change_earlier_splits():
    before = prepare_tweets(make_corpus(KEPT[:23]), seed=3).table
    after = prepare_tweets(make_corpus([*KEPT[:23], KEPT[5], *KEPT]), seed=3).table
    assert after.iloc[:23].equals(before)


def test_preparing_prepared_texts_again_changes_nothing():
    once = prepare_tweets(make_corpus([*MESSY_TWEETS, *KEPT]), seed=0).table
    assert prepare_tweets(make_corpus(once["text"]), seed=0).table.equals(once)


@pytest.mark.parametrize("texts, left", [([], 0), (["one", "two"], 0), ([*KEPT[:9], *KEPT[:9]], 9)])
def test_a_corpus_that_is_too_small_is_refused(texts, left):
    with pytest.raises(ValueError, match=f"made.csv: only {left} distinct tweets .* at least 10 .* larger corpus"):
        prepare_tweets(make_corpus(texts), seed=0)


# Splitting by user or by time

USERS = [f"user{i % 12}" for i in range(30)]
DATES = [f"Mon Apr 06 22:{i:02d}:45 PDT 2009" for i in range(30)]


@examples(0.3)
@given(data=st.data(), seed=st.integers(0, 100))
def test_no_user_is_in_two_splits(data, seed):
    users = data.draw(st.permutations([*USERS, "", ""]))
    texts = [*KEPT, "one more tweet", "and one more"]
    prepared = prepare_tweets(make_corpus(texts, users=users), seed, split_by="user")
    user_of = dict(zip(texts, users))
    users_of = {split: {user_of[text] for text in prepared.texts(split)} for split in SPLITS}
    assert sum(map(len, users_of.values())) == 12 and "" not in set.union(*users_of.values())
    assert prepared.counts["without_user"] == 2
    # A cut is off by at most half a group, and the largest group has three rows.
    assert abs(prepared.counts["train"] - 24) <= 1.5 and abs(prepared.counts["test"] - 3) <= 1.5
    assert prepared.table["text"].tolist() == [text for text in texts if user_of[text]]


def test_users_are_drawn_by_seed():
    corpus = make_corpus(KEPT, users=USERS)
    first, second = (prepare_tweets(corpus, seed, split_by="user") for seed in (0, 1))
    assert prepare_tweets(corpus, 0, split_by="user").table.equals(first.table)
    assert first.texts("test") != second.texts("test")
    assert (first.split_by, corpus_record(corpus, first)["split_by"]) == ("user", "user")


def test_a_copy_without_a_user_does_not_replace_one_with_a_user():
    corpus = make_corpus([KEPT[0], "short", *KEPT, KEPT[1]], users=["", "", *USERS, "user0"])
    prepared = prepare_tweets(corpus, seed=0, split_by="user")
    assert prepared.table["text"].tolist() == KEPT
    counts = {name: prepared.counts[name] for name in ("fewer_than_two_words", "without_user", "duplicates")}
    assert counts == {"fewer_than_two_words": 1, "without_user": 1, "duplicates": 1}


@examples(0.3)
@given(data=st.data())
def test_train_is_older_than_val_and_val_is_older_than_test(data):
    dates = data.draw(st.permutations([*DATES[:12] * 2, *DATES[:6]]))
    date_of = dict(zip(KEPT, dates))
    prepared = prepare_tweets(make_corpus(KEPT, dates=dates), seed=0, split_by="time")
    train, val, test = ([date_of[text] for text in prepared.texts(split)] for split in SPLITS)
    assert max(train) < min(val) <= max(val) < min(test)
    # A cut is off by at most half a group, and the largest group has three rows.
    assert abs(len(train) - 24) <= 1.5 and abs(len(test) - 3) <= 1.5


def test_the_split_by_time_ignores_the_seed_and_sorts_by_date_not_by_letters():
    dates = [f"Thu Apr {day:02d} 22:19:45 PDT 2009" for day in range(21, 31)]
    dates += [f"Fri May {day:02d} 22:19:45 PDT 2009" for day in range(1, 11)]
    corpus = make_corpus(KEPT[19::-1], dates=dates[::-1])
    prepared = prepare_tweets(corpus, seed=0, split_by="time")
    assert prepared.table["text"].tolist() == KEPT[:20]
    assert [prepared.texts(split) for split in SPLITS] == [KEPT[:16], KEPT[16:18], KEPT[18:20]]
    assert prepare_tweets(corpus, seed=1, split_by="time").table.equals(prepared.table)


def test_the_oldest_of_several_duplicates_is_kept_when_splitting_by_time():
    prepared = prepare_tweets(
        make_corpus([*KEPT[::-1], "late", KEPT[29]], dates=[*DATES[::-1], DATES[29], DATES[0]]), 0, "time"
    )
    assert prepared.table["text"].tolist() == [KEPT[0], KEPT[29], *KEPT[1:29]]
    assert prepared.counts["duplicates"] == 1


def test_tweets_without_a_date_are_removed_and_counted():
    dates = [*DATES[:26], "", "yesterday", "Mon Apr 06 22:19:45 EST 2009", "Mon Apr 31 22:19:45 PDT 2009"]
    prepared = prepare_tweets(make_corpus(KEPT, dates=dates), seed=0, split_by="time")
    assert prepared.table["text"].tolist() == KEPT[:26]
    assert prepared.counts == {
        **{"rows_read": 30, "bad_rows": 0, "fewer_than_two_words": 0, "without_date": 4, "duplicates": 0},
        **{"train": 21, "val": 2, "test": 3},
    }


@pytest.mark.parametrize("known", [0, 9])
@pytest.mark.parametrize("split_by, key", [("user", "user"), ("time", "date")])
def test_a_corpus_without_users_or_dates_is_refused(split_by, key, known):
    corpus = make_corpus(
        KEPT, users=[*USERS[:known], *[""] * (30 - known)], dates=[*DATES[:known], *[""] * (30 - known)]
    )
    message = rf'made.csv: only {known} distinct tweets .* known {key} .* at least 10 .* use split_by="random"'
    with pytest.raises(ValueError, match=message):
        prepare_tweets(corpus, seed=0, split_by=split_by)


def test_a_corpus_with_dates_in_unknown_formats_is_refused_with_the_known_ones():
    corpus = make_corpus(KEPT, dates="28.09.2016")
    with pytest.raises(ValueError, match=r"only 0 distinct tweets .* known date") as refusal:
        prepare_tweets(corpus, seed=0, split_by="time")
    assert all(example in str(refusal.value) for example in DATE_EXAMPLES)


@pytest.mark.parametrize("split_by, key", [("user", "user"), ("time", "date")])
def test_too_few_users_or_dates_for_three_splits_are_refused(split_by, key):
    corpus = make_corpus(KEPT, users=["ada", "bob"] * 15, dates=DATES[:2] * 15)
    message = rf'made.csv: 30 tweets of 2 distinct {key}s leave val and test empty; use split_by="random"'
    with pytest.raises(ValueError, match=message):
        prepare_tweets(corpus, seed=0, split_by=split_by)


@pytest.mark.parametrize(
    "text",
    ["?!", "word", "😀 😀 😀", "http://t.co/x https://t.co/y", "שלום עולם", "@anna @bob", "\u200f\u202e", "- - -"],
)
def test_a_text_of_fewer_than_two_words_is_removed_and_counted(text):
    prepared = prepare_tweets(make_corpus([*KEPT, text]), seed=0)
    assert prepared.counts["fewer_than_two_words"] == 1
    assert sum(prepared.counts[split] for split in SPLITS) == len(set(KEPT))


def test_a_text_of_ten_thousand_words_is_kept():
    long = " ".join(["word"] * 10_000)
    assert long in prepare_tweets(make_corpus([*KEPT, long]), seed=0).table["text"].tolist()


def test_an_unknown_way_to_split_is_refused():
    with pytest.raises(ValueError, match="split_by is 'date': choose one of random, user, time"):
        prepare_tweets(make_corpus(KEPT), seed=0, split_by="date")


def test_a_subset_of_texts_is_drawn_by_seed():
    prepared = prepare_tweets(make_corpus(KEPT), seed=0)
    all_texts = prepared.texts("train")
    subset = prepared.texts("train", 10)
    assert len(subset) == 10
    assert [text for text in all_texts if text in subset] == subset != all_texts[:10]
    assert prepared.texts("train", 10) == subset
    assert prepared.texts("train", 24) == prepared.texts("train", 1000) == all_texts
    assert prepared.texts("train", 0) == []


def test_the_written_table_is_read_back_unchanged(tmp_path):
    prepared = prepare_tweets(make_corpus([*KEPT, "null na nan", "1 2", "007 3"]), seed=0)
    path = write_tweets_csv(prepared, tmp_path / "new" / "tweets_cleaned.csv")
    assert pd.read_csv(path, keep_default_na=False).to_dict("list") == prepared.table.to_dict("list")
    assert [found.name for found in path.parent.iterdir()] == ["tweets_cleaned.csv"]
