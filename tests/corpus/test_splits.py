"""Assign splits: sizes, groups that stay together, order in time."""

from collections import Counter
from itertools import groupby

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.corpus.splits import (
    DATE_EXAMPLES,
    SPLITS,
    assign_group_splits,
    assign_splits,
    assign_splits_by,
    check_split_by,
    parse_dates,
    split_keys,
)

# At random


@given(num_rows=st.integers(0, 300), more=st.integers(0, 50), seed=st.integers(0, 2**32 - 1))
def test_splits_are_exact_in_every_block_and_do_not_change_when_rows_are_appended(num_rows, more, seed):
    splits = assign_splits(num_rows, seed)
    assert len(splits) == num_rows
    for start in range(0, num_rows - 9, 10):
        assert Counter(splits[start : start + 10]) == {"train": 8, "val": 1, "test": 1}
    rest = Counter(splits[num_rows // 10 * 10 :])
    assert rest["val"] <= 1 and rest["test"] <= 1
    assert np.array_equal(assign_splits(num_rows + more, seed)[:num_rows], splits)


def test_seeds_and_blocks_give_different_splits():
    first, second = assign_splits(200, 0), assign_splits(200, 1)
    assert (first != second).any()
    assert len({tuple(block) for block in first.reshape(-1, 10)}) > 10


# Groups


@given(st.lists(st.integers(1, 1000), max_size=60))
def test_groups_fill_the_splits_in_order_to_within_half_a_group(sizes):
    splits = assign_group_splits(np.array(sizes, dtype=np.int64))
    assert [split for split, _ in groupby(splits)] == [split for split in SPLITS if split in splits]
    rows = {split: sum(np.array(sizes)[splits == split]) for split in SPLITS}
    assert abs(rows["train"] - 0.8 * sum(sizes)) <= max(sizes, default=0) / 2 + 1e-9
    assert abs(rows["test"] - 0.1 * sum(sizes)) <= max(sizes, default=0) / 2 + 1e-9


@pytest.mark.parametrize("size", [1, 7])
def test_equal_groups_are_cut_exactly(size):
    assert Counter(assign_group_splits(np.full(50, size))) == {"train": 40, "val": 5, "test": 5}


@given(users=st.lists(st.integers(0, 12).map(str), max_size=80), seed=st.integers(0, 50))
def test_a_user_is_in_one_split(users, seed):
    splits = assign_splits_by(pd.Series(users, dtype="str"), "user", seed)
    assert len(splits) == len(users)
    assert len(set(zip(users, splits))) == len(set(users))


def test_every_user_can_be_drawn_into_every_split():
    users = pd.Series([f"user{i}" for i in range(20)])
    drawn = [assign_splits_by(users, "user", seed) for seed in range(200)]
    assert {frozenset(splits) for splits in np.array(drawn).T} == {frozenset(SPLITS)}


@given(st.lists(st.integers(0, 12), max_size=80))
def test_every_date_of_a_split_is_older_than_those_of_the_next(days):
    splits = assign_splits_by(pd.Timestamp(2009, 4, 6) + pd.to_timedelta(pd.Series(days, dtype=int), "D"), "time", 0)
    ordered = sorted(zip(days, map(SPLITS.index, splits)))
    assert [split for _, split in ordered] == sorted(split for _, split in ordered)
    assert len(set(ordered)) == len(set(days))


# Dates


@pytest.mark.parametrize(
    "text, expected",
    [
        ("Mon Apr 06 22:19:45 PDT 2009", pd.Timestamp(2009, 4, 6, 22, 19, 45)),
        ("Thu Jun 25 00:00:00 PDT 2009", pd.Timestamp(2009, 6, 25)),
        ("Mon Apr 06 22:19:45 UTC 2009", pd.Timestamp(2009, 4, 6, 22, 19, 45)),
        ("Mon Apr 06 22:19:45 GMT 2009", pd.Timestamp(2009, 4, 6, 22, 19, 45)),
        ("Wed Oct 10 20:19:24 +0000 2018", pd.Timestamp(2018, 10, 10, 20, 19, 24)),
        ("Wed Oct 10 20:19:24 -0700 2018", pd.Timestamp(2018, 10, 11, 3, 19, 24)),
        ("Mon, 06 Apr 2009 22:19:45 +0000", pd.Timestamp(2009, 4, 6, 22, 19, 45)),
        ("2016-09-28 00:22:34", pd.Timestamp(2016, 9, 28, 0, 22, 34)),
        ("2016-09-28T00:22:34Z", pd.Timestamp(2016, 9, 28, 0, 22, 34)),
        ("2016-09-28T00:22:34.987Z", pd.Timestamp(2016, 9, 28, 0, 22, 34)),
        ("2016-09-28T00:22:34+02:00", pd.Timestamp(2016, 9, 27, 22, 22, 34)),
        ("2016-09-28 00:22:34 +0000", pd.Timestamp(2016, 9, 28, 0, 22, 34)),
        ("2016-09-28 00:22:34 UTC", pd.Timestamp(2016, 9, 28, 0, 22, 34)),
        ("2016-09-28 00:22:34.987654+00:00", pd.Timestamp(2016, 9, 28, 0, 22, 34)),
        ("2016-09-28", pd.Timestamp(2016, 9, 28)),
    ],
)
@pytest.mark.parametrize("dtype", [object, "str"])
def test_dates_are_parsed(text, expected, dtype):
    assert parse_dates(pd.Series([text, ""], index=[5, 5], dtype=dtype)).tolist() == [expected, pd.NaT]


def test_every_example_of_a_date_format_is_parsed_also_beside_the_others():
    parsed = parse_dates(pd.Series(DATE_EXAMPLES))
    assert parsed.dtype == "datetime64[s]"
    assert set(parsed) == {pd.Timestamp(2009, 4, 6, 22, 19, 45), pd.Timestamp(2009, 4, 6)}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "NaN",
        "yesterday",
        "2009",
        "Mon Apr 06 22:19:45 2009",
        "Mon Apr 06 22:19:45 EST 2009",
        "Mon Apr 31 22:19:45 PDT 2009",
        "Mon Apr 06 25:19:45 PDT 2009",
        "Mon Apr 06 22:19:45 PDT 2009 or so",
        "20160928",
        "2016-13-28",
        "2016-09-28 25:00:00",
        "2016-09-28 00:22:34 or so",
        "28.09.2016 00:22:34",
    ],
)
def test_text_in_no_known_date_format_is_missing(text):
    assert parse_dates(pd.Series([text])).isna().all()


def test_keys_are_users_or_dates_and_missing_where_unknown():
    tweets = pd.DataFrame({"user": ["ada", ""], "date": ["", "2016-09-28 00:22:34"]}, index=[3, 4])
    assert split_keys(tweets, "user").dropna().to_dict() == {3: "ada"}
    assert split_keys(tweets, "time").dropna().to_dict() == {4: pd.Timestamp(2016, 9, 28, 0, 22, 34)}
    assert split_keys(tweets, "random").notna().tolist() == [True, True]


@pytest.mark.parametrize("split_by", ["", "date", "users", None])
def test_an_unknown_way_to_split_is_refused(split_by):
    with pytest.raises(ValueError, match=r"split_by is .*: choose one of random, user, time"):
        check_split_by(split_by)
