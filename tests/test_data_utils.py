"""Behaviour of cleaning, splitting and preparing tweets."""

import html
import re
import sys
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.corpus import BadRow, Corpus
from src.data_utils import (
    SPLITS,
    assign_splits,
    clean_string,
    clean_strings,
    corpus_record,
    normalize_tweet,
    normalize_tweets,
    prepare_tweets,
    raw_tweet_shares,
    split_x_target_by_words,
    write_tweets_csv,
)
from src.examples import MESSY_TWEETS

# Texts made of what cleaning looks for, which free text seldom holds.
TRICKY_PARTS = (
    *(
        "a",
        "Word",
        "RT ",
        "rt",
        "@ada_9",
        ":",
        " ",
        "\n",
        "\u00a0",
        "-",
        "#",
        "http",
        "https://",
        "www.",
        "bit.ly",
        ".com",
    ),
    *("/x1", "&", "amp;", "lt;", "&#39;", "Ã©", "Ã", "\u00e2\u0098\u0095", "\u00a9", "İ", "ß", "☕", "..", "w"),
)
tweets_like = st.lists(st.sampled_from(TRICKY_PARTS), max_size=12).map("".join) | st.text(max_size=40)


def cleaned(text):
    return clean_string(normalize_tweet(text))


def make_corpus(texts, dtype="str", bad_rows=()):
    tweets = pd.DataFrame({"text": pd.Series(list(texts), dtype=dtype), "user": "", "date": ""})
    return Corpus("made-up", "made.csv", "abc123", tweets, tuple(bad_rows))


# Cleaning


@pytest.mark.parametrize(
    "text, expected",
    [
        ("", ""),
        (" \t\n ", ""),
        ("I can't WAIT!!! 2moro @ 9am", "i cant wait 2moro 9am"),
        ("well-known e.g. this_one", "wellknown eg thisone"),
        ("ñandú, naïve café", "and nave caf"),
        ("one - two", "one two"),
        ("\u0663\u00b2 3", "3"),  # digits of other scripts and superscripts are no digits here
    ],
)
def test_clean_string_by_hand(text, expected):
    assert clean_string(text) == expected


@given(st.text())
def test_cleaned_text_is_words_of_letters_and_digits_and_stays_as_it_is(text):
    once = clean_string(text)
    assert re.fullmatch(r"([a-z0-9]+( [a-z0-9]+)*)?", once)
    assert clean_string(once) == once


@given(st.lists(st.text("abcz019", min_size=1), max_size=6))
def test_clean_string_keeps_clean_words(words):
    assert clean_string("  ".join(words).upper()) == " ".join(words)


@pytest.mark.parametrize("space", [chr(i) for i in range(sys.maxunicode + 1) if chr(i).isspace()], ids=ascii)
def test_any_whitespace_acts_as_a_space(space):
    assert clean_string(f"{space}a{space}{space}b{space}") == "a b"


# Normalising


@pytest.mark.parametrize(
    "text, expected",
    [
        ("rock &amp; roll", "rock & roll"),
        ("i &lt;3 it", "i <3 it"),
        ("i &amp;lt;3 it", "i <3 it"),
        ("a &amp;amp;amp; b", "a & b"),
        ("It&#39;s &quot;on&quot;", 'It\'s "on"'),
        ("AT&T & co", "AT&T & co"),
    ],
)
def test_entities_are_unescaped(text, expected):
    assert normalize_tweet(text) == expected


@given(st.text("ab &<>'\"", max_size=20), st.integers(1, 3))
def test_however_often_a_tweet_was_escaped_it_reads_the_same(text, times):
    escaped = text
    for _ in range(times):
        escaped = html.escape(escaped)
    assert cleaned(escaped) == cleaned(text)


@pytest.mark.parametrize(
    "url",
    [
        "http://twitpic.com/2y1zl",
        "https://t.co/AbC123",
        "HTTP://T.CO/ABC",
        "Https://www.example.com",
        "ftp://example.org/file.txt",
        "http://user:pw@example.org:8080/a_b/c-d.html?q=1#top",
        "http://www.example.com/?a=1&amp;b=2",
        "http://example.com/?a=1&amp;amp;b=2",
        "www.example.com",
        "WWW.Example.COM/cats",
        "www.example.de",
        "twitpic.com/2y1zl",
        "TwitPic.com/2Y1ZL",
        "bit.ly/x",
        "bit.ly/x?a=1&amp;b=2",
        "is.gd/abc",
        "news.bbc.co.uk/2/hi",
        "my-site.example.org/a",
        "example.com",
        "bbc.co.uk",
        "last.fm",
        "twit.tv",
        "example.com.au",
        "example.com?v=1",
        "example.com:8080/x",
        "example.com#top",
    ],
)
def test_a_url_never_becomes_a_word(url):
    for mark in ("", ".", ",", "!", "?", ")", "...", "&quot;", "&gt;"):
        assert cleaned(f"look at {url}{mark} now") == "look at now"
    assert cleaned(f"({url}) now") == cleaned(f"now {url}") == cleaned(f"{url}\nnow") == "now"


@pytest.mark.parametrize("url", ["http://bit.ly/x", "HTTPS://t.co/x", "ftp://example.org"])
def test_a_url_glued_behind_a_word_leaves_the_word(url):
    assert cleaned(f"look{url} now") == cleaned(f"look:{url} now") == "look now"


@pytest.mark.parametrize("url", ["bit.ly/x", "www.example.com"])
def test_a_bare_address_behind_punctuation_leaves_the_word(url):
    assert cleaned(f"look:{url} now") == cleaned(f"look->{url} now") == cleaned(f"look,{url} now") == "look now"


@pytest.mark.parametrize(
    "text, expected",
    [
        ("tired.so tired", "tiredso tired"),
        ("yes/no or 9/10", "yesno or 910"),
        ("at 5.30 or later...", "at 530 or later"),
    ],
)
def test_dots_and_slashes_alone_make_no_url(text, expected):
    assert cleaned(text) == expected


@pytest.mark.parametrize("word", ["awww", "Awwwww", "ewww", "owww", "NOWWW"])
def test_a_drawn_out_word_with_dots_is_not_a_url(word):
    assert cleaned(f"{word}. too cute") == cleaned(f"{word}... too cute") == f"{word.lower()} too cute"
    assert cleaned(f"so {word}.") == f"so {word.lower()}"


@pytest.mark.parametrize(
    "text, expected",
    [
        ("@ada hello", "hello"),
        ("hello @Ada_99!", "hello"),
        ("hello@ada,@bob: you", "hello you"),
        ("see you @ 9", "see you 9"),
        ("hi &#64;ada", "hi"),
    ],
)
def test_mentions_are_dropped(text, expected):
    assert cleaned(text) == expected


@pytest.mark.parametrize(
    "mark", ["RT @ada: ", "RT @ada ", "rt @ada_9: ", "RT: @ada ", "RT@ada: ", "RT @ada: RT @bob: "]
)
@pytest.mark.parametrize("original", ["free tea today &lt;3", "@cy_1 look at bit.ly/x art", "Rtfm or start"])
def test_a_retweet_equals_its_original(mark, original):
    assert cleaned(mark + original) == cleaned(original) != ""


def test_words_that_end_in_rt_are_no_retweet_mark():
    assert cleaned("art @ada and a cart @bob") == "art and a cart"


@pytest.mark.parametrize("text", ["café", "¡mañana!", "tea ☕", "fine 😀", "naïve – “so”"])
def test_utf8_read_as_latin1_is_repaired(text):
    assert normalize_tweet(text.encode().decode("latin-1")) == text


@pytest.mark.parametrize(
    "text", ["café", "Ã", "Ã and ©", "déjà vu", "\u00ed\u00a0\u0080", "\u00e0\u0080\u0080", "\u00f4\u00bf\u00bf\u00bf"]
)
def test_what_is_no_utf8_is_left_alone(text):
    assert normalize_tweet(text) == text


def test_only_the_broken_part_of_a_tweet_is_repaired():
    assert normalize_tweet("cafÃ© à la Ã mode, naïve") == "café à la Ã mode, naïve"


# Whole columns


def assert_column_equals_rows(column_function, row_function, texts):
    for dtype in (object, "str"):
        column = pd.Series(texts, index=range(7, 7 + len(texts)), dtype=dtype)
        result = column_function(column)
        assert result.tolist() == [row_function(text) for text in texts]
        assert result.index.equals(column.index)


@pytest.mark.parametrize(
    "column_function, row_function", [(normalize_tweets, normalize_tweet), (clean_strings, clean_string)]
)
class TestColumns:
    @given(texts=st.lists(tweets_like, max_size=8))
    def test_equal_their_rows(self, column_function, row_function, texts):
        assert_column_equals_rows(column_function, row_function, texts)

    def test_equal_their_rows_on_messy_tweets(self, column_function, row_function):
        assert_column_equals_rows(column_function, row_function, list(MESSY_TWEETS))

    def test_leave_their_input_as_it_is(self, column_function, row_function):
        column = pd.Series(MESSY_TWEETS)
        column_function(column)
        assert column.tolist() == list(MESSY_TWEETS)

    def test_keep_labels_that_repeat(self, column_function, row_function):
        texts = ["a &amp; b", "C &lt; d", "e"]
        result = column_function(pd.Series(texts, index=["x", "x", "y"]))
        assert result.tolist() == [row_function(text) for text in texts]
        assert result.index.tolist() == ["x", "x", "y"]


def test_clean_strings_equals_clean_string_on_every_character():
    characters = [chr(i) for i in range(sys.maxunicode + 1) if not 0xD800 <= i < 0xE000]
    assert clean_strings(pd.Series(characters, dtype=object)).tolist() == [clean_string(c) for c in characters]


def test_shares_of_raw_tweets():
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
def test_context_and_target_make_the_text(text):
    context, target = split_x_target_by_words(text)
    assert context and target
    assert f"{context} {target}" == text


# Splits


@given(num_rows=st.integers(0, 300), more=st.integers(0, 50), seed=st.integers(0, 2**32 - 1))
def test_splits_are_exact_in_every_block_and_stable_when_rows_are_added(num_rows, more, seed):
    splits = assign_splits(num_rows, seed)
    assert len(splits) == num_rows
    for start in range(0, num_rows - 9, 10):
        assert Counter(splits[start : start + 10]) == {"train": 8, "val": 1, "test": 1}
    rest = Counter(splits[num_rows // 10 * 10 :])
    assert rest["val"] <= 1 and rest["test"] <= 1
    assert np.array_equal(assign_splits(num_rows + more, seed)[:num_rows], splits)


def test_other_seeds_split_otherwise_and_blocks_differ():
    first, second = assign_splits(200, 0), assign_splits(200, 1)
    assert (first != second).any()
    assert len({tuple(block) for block in first.reshape(-1, 10)}) > 10


# Preparing a corpus

KEPT = [f"tweet number {i} about tea" for i in range(30)]


@pytest.mark.parametrize("dtype", [object, "str"])
@pytest.mark.parametrize("chunk_size", [1, 7, 50_000])
def test_rows_removed_and_kept_add_up(dtype, chunk_size):
    removed_as_short = ["Hello!", "@ada :-)", "http://bit.ly/x wow", ""]
    removed_as_copies = [
        KEPT[0],
        "Tweet NUMBER 1, about tea!",
        "RT @ada: tweet number 2 about tea",
        KEPT[2] + " bit.ly/x",
    ]
    corpus = make_corpus([*KEPT, *removed_as_short, *removed_as_copies], dtype, [BadRow(3, "bad"), BadRow(9, "bad")])
    prepared = prepare_tweets(corpus, seed=0, chunk_size=chunk_size)
    assert prepared.table["text"].tolist() == KEPT
    assert prepared.counts == {
        **{"rows_read": 40, "bad_rows": 2, "fewer_than_two_words": 4, "duplicates": 4},
        **{"train": 24, "val": 3, "test": 3},
    }
    assert prepared.table["split"].tolist() == assign_splits(30, 0).tolist()
    record = {**corpus.record(), "counts": prepared.counts, "split_seed": 0}
    assert corpus_record(corpus, prepared) == record


def test_of_duplicates_the_first_stays():
    prepared = prepare_tweets(make_corpus(["b b", "a a", "RT @x: b b", *KEPT, "A a!"]), seed=0)
    assert prepared.table["text"].tolist() == ["b b", "a a", *KEPT]


@settings(max_examples=25)
@given(choice=st.lists(st.integers(0, 29), max_size=60), seed=st.integers(0, 100))
def test_no_text_stands_on_both_sides_and_all_are_counted(choice, seed):
    prepared = prepare_tweets(make_corpus([*KEPT[:15], *(KEPT[i].title() for i in choice), "short"]), seed)
    parts = [prepared.texts(split) for split in SPLITS]
    distinct = {text for part in parts for text in part}
    assert sum(map(len, parts)) == len(distinct) == len({*range(15), *choice})
    assert prepared.counts["rows_read"] == 16 + len(choice)
    assert prepared.counts["rows_read"] == sum(count for name, count in prepared.counts.items() if name != "rows_read")


def test_rows_added_at_the_end_change_nothing_before_them():
    before = prepare_tweets(make_corpus(KEPT[:23]), seed=3).table
    after = prepare_tweets(make_corpus([*KEPT[:23], KEPT[5], *KEPT]), seed=3).table
    assert after.iloc[:23].equals(before)


def test_preparing_cleaned_texts_again_gives_the_same():
    once = prepare_tweets(make_corpus([*MESSY_TWEETS, *KEPT]), seed=0).table
    assert prepare_tweets(make_corpus(once["text"]), seed=0).table.equals(once)


@pytest.mark.parametrize("texts, left", [([], 0), (["one", "two"], 0), ([*KEPT[:9], *KEPT[:9]], 9)])
def test_a_corpus_that_is_too_small_is_refused(texts, left):
    with pytest.raises(ValueError, match=f"made.csv: only {left} distinct tweets .* at least 10 .* larger corpus"):
        prepare_tweets(make_corpus(texts), seed=0)


def test_a_subset_of_texts_is_drawn_by_seed():
    prepared = prepare_tweets(make_corpus(KEPT), seed=0)
    all_texts = prepared.texts("train")
    subset = prepared.texts("train", 10)
    assert len(subset) == 10
    assert [text for text in all_texts if text in subset] == subset != all_texts[:10]
    assert prepared.texts("train", 10) == subset
    assert prepared.texts("train", 24) == prepared.texts("train", 1000) == all_texts
    assert prepared.texts("train", 0) == []


def test_the_written_table_reads_back_the_same(tmp_path):
    prepared = prepare_tweets(make_corpus([*KEPT, "null na nan", "1 2", "007 3"]), seed=0)
    path = write_tweets_csv(prepared, tmp_path / "new" / "tweets_cleaned.csv")
    assert pd.read_csv(path, keep_default_na=False).to_dict("list") == prepared.table.to_dict("list")
    assert [found.name for found in path.parent.iterdir()] == ["tweets_cleaned.csv"]
