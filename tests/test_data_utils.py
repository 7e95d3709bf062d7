"""Behaviour of cleaning, splitting and preparing tweets."""

import html
import re
import sys

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.corpus.load import Corpus
from src.corpus.sentiment140 import BadRow
from src.corpus.splits import SPLITS, assign_splits
from src.data_utils import (
    clean_string,
    corpus_record,
    normalize_tweet,
    prepare_tweets,
    raw_tweet_shares,
    split_x_target_by_words,
    write_tweets_csv,
)
from src.examples import MESSY_TWEETS
from src.text import cleaning
from src.text.cleaning import clean_strings, normalize_tweets
from tests.budget import examples

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


def make_corpus(texts, dtype="str", bad_rows=(), users="", dates=""):
    tweets = pd.DataFrame({"text": pd.Series(list(texts), dtype=dtype), "user": users, "date": dates})
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


def test_every_space_of_unicode_is_one():
    characters = [chr(i) for i in range(sys.maxunicode + 1) if not 0xD800 <= i < 0xE000]
    expected = [re.sub(r"\s+", " ", re.sub(r"[^a-z0-9\s]", "", f"a{c}b".lower())).strip() for c in characters]
    assert clean_strings(pd.Series(f"a{c}b" for c in characters)).tolist() == expected


@given(tweets_like)
def test_looking_first_whether_there_is_anything_to_do_changes_nothing(text):
    expected = cleaning.UTF8_READ_AS_LATIN1.sub(cleaning._repair_match, text)
    expected = cleaning._unescape_entities(expected)
    for pattern in (cleaning.URL, cleaning.RETWEET_MARK, cleaning.MENTION):
        expected = pattern.sub(" ", expected)
    assert normalize_tweet(text) == expected


@pytest.mark.parametrize(
    "part", ["a-", "a.", "a.aa", "a.com ", "a.bc/", "www.", "rt ", "amp;", "@", "@a", "http", "//", "&#", "-"]
)
@pytest.mark.parametrize("behind", ["", "@", "@a", ".com", "&amp;"])
def test_the_time_is_in_proportion_to_the_text(part, behind):
    """Patterns that try every start to the end would take minutes."""
    assert len(cleaned(f"rt{part * 50_000}{behind}")) < 300_000


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
    record = {**corpus.record(), "counts": prepared.counts, "split_seed": 0, "split_by": "random"}
    assert corpus_record(corpus, prepared) == record


def test_of_duplicates_the_first_stays():
    prepared = prepare_tweets(make_corpus(["b b", "a a", "RT @x: b b", *KEPT, "A a!"]), seed=0)
    assert prepared.table["text"].tolist() == ["b b", "a a", *KEPT]


def test_the_random_split_stays_what_it_was():
    prepared = prepare_tweets(make_corpus(KEPT), seed=0)
    assert [i for i, split in enumerate(prepared.table["split"]) if split == "val"] == [3, 13, 27]
    assert [i for i, split in enumerate(prepared.table["split"]) if split == "test"] == [9, 14, 25]
    assert prepare_tweets(make_corpus(KEPT), 0, "random").table.equals(prepared.table)


@examples(0.25)
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


# Preparing a corpus by user or by time

USERS = [f"user{i % 12}" for i in range(30)]
DATES = [f"Mon Apr 06 22:{i:02d}:45 PDT 2009" for i in range(30)]


@examples(0.3)
@given(data=st.data(), seed=st.integers(0, 100))
def test_no_user_stands_in_two_parts(data, seed):
    users = data.draw(st.permutations([*USERS, "", ""]))
    texts = [*KEPT, "one more tweet", "and one more"]
    prepared = prepare_tweets(make_corpus(texts, users=users), seed, split_by="user")
    user_of = dict(zip(texts, users))
    users_of = {split: {user_of[text] for text in prepared.texts(split)} for split in SPLITS}
    assert sum(map(len, users_of.values())) == 12 and "" not in set.union(*users_of.values())
    assert prepared.counts["without_user"] == 2
    # A cut is off by at most half of the largest group, three rows.
    assert abs(prepared.counts["train"] - 24) <= 1.5 and abs(prepared.counts["test"] - 3) <= 1.5
    assert prepared.table["text"].tolist() == [text for text in texts if user_of[text]]


def test_users_are_drawn_by_seed():
    corpus = make_corpus(KEPT, users=USERS)
    first, second = (prepare_tweets(corpus, seed, split_by="user") for seed in (0, 1))
    assert prepare_tweets(corpus, 0, split_by="user").table.equals(first.table)
    assert first.texts("test") != second.texts("test")
    assert (first.split_by, corpus_record(corpus, first)["split_by"]) == ("user", "user")


def test_a_copy_without_a_user_does_not_displace_one_with():
    corpus = make_corpus([KEPT[0], "short", *KEPT, KEPT[1]], users=["", "", *USERS, "user0"])
    prepared = prepare_tweets(corpus, seed=0, split_by="user")
    assert prepared.table["text"].tolist() == KEPT
    counts = {name: prepared.counts[name] for name in ("fewer_than_two_words", "without_user", "duplicates")}
    assert counts == {"fewer_than_two_words": 1, "without_user": 1, "duplicates": 1}


@examples(0.3)
@given(data=st.data())
def test_train_is_older_than_val_and_val_than_test(data):
    dates = data.draw(st.permutations([*DATES[:12] * 2, *DATES[:6]]))
    date_of = dict(zip(KEPT, dates))
    prepared = prepare_tweets(make_corpus(KEPT, dates=dates), seed=0, split_by="time")
    train, val, test = ([date_of[text] for text in prepared.texts(split)] for split in SPLITS)
    assert max(train) < min(val) <= max(val) < min(test)
    # A cut is off by at most half of the largest group, three rows.
    assert abs(len(train) - 24) <= 1.5 and abs(len(test) - 3) <= 1.5


def test_time_knows_no_seed_and_sorts_by_date_not_by_letters():
    dates = [f"Thu Apr {day:02d} 22:19:45 PDT 2009" for day in range(21, 31)]
    dates += [f"Fri May {day:02d} 22:19:45 PDT 2009" for day in range(1, 11)]
    corpus = make_corpus(KEPT[19::-1], dates=dates[::-1])
    prepared = prepare_tweets(corpus, seed=0, split_by="time")
    assert prepared.table["text"].tolist() == KEPT[:20]
    assert [prepared.texts(split) for split in SPLITS] == [KEPT[:16], KEPT[16:18], KEPT[18:20]]
    assert prepare_tweets(corpus, seed=1, split_by="time").table.equals(prepared.table)


def test_of_duplicates_the_oldest_stays_when_time_splits():
    prepared = prepare_tweets(
        make_corpus([*KEPT[::-1], "late", KEPT[29]], dates=[*DATES[::-1], DATES[29], DATES[0]]), 0, "time"
    )
    assert prepared.table["text"].tolist() == [KEPT[0], KEPT[29], *KEPT[1:29]]
    assert prepared.counts["duplicates"] == 1


def test_tweets_without_a_date_are_left_out_and_counted():
    dates = [*DATES[:26], "", "yesterday", "Mon Apr 06 22:19:45 UTC 2009", "Mon Apr 31 22:19:45 PDT 2009"]
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


@pytest.mark.parametrize("split_by, key", [("user", "user"), ("time", "date")])
def test_too_few_users_or_dates_for_three_parts_are_refused(split_by, key):
    corpus = make_corpus(KEPT, users=["ada", "bob"] * 15, dates=DATES[:2] * 15)
    message = rf'made.csv: 30 tweets of 2 distinct {key}s leave val and test empty; use split_by="random"'
    with pytest.raises(ValueError, match=message):
        prepare_tweets(corpus, seed=0, split_by=split_by)


@pytest.mark.parametrize(
    "text",
    ["?!", "word", "😀 😀 😀", "http://t.co/x https://t.co/y", "שלום עולם", "@anna @bob", "\u200f\u202e", "- - -"],
)
def test_a_text_without_two_words_is_dropped_and_counted(text):
    prepared = prepare_tweets(make_corpus([*KEPT, text]), seed=0)
    assert prepared.counts["fewer_than_two_words"] == 1
    assert sum(prepared.counts[split] for split in ("train", "val", "test")) == len(set(KEPT))


def test_a_text_of_ten_thousand_words_is_a_text():
    long = " ".join(["word"] * 10_000)
    assert long in prepare_tweets(make_corpus([*KEPT, long]), seed=0).table["text"].tolist()


def test_another_way_to_split_is_refused():
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


def test_the_written_table_reads_back_the_same(tmp_path):
    prepared = prepare_tweets(make_corpus([*KEPT, "null na nan", "1 2", "007 3"]), seed=0)
    path = write_tweets_csv(prepared, tmp_path / "new" / "tweets_cleaned.csv")
    assert pd.read_csv(path, keep_default_na=False).to_dict("list") == prepared.table.to_dict("list")
    assert [found.name for found in path.parent.iterdir()] == ["tweets_cleaned.csv"]
