"""Clean tweets: entities, URLs, mentions, retweet marks, broken encodings, and entire columns."""

import html
import re
import sys
import unicodedata

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.examples import MESSY_TWEETS
from src.text import cleaning
from src.text.cleaning import clean_string, clean_strings, normalize_tweet, normalize_tweets

# What cleaning looks for, and random text rarely contains.
TRICKY_STRINGS = (
    *("a", "Word", "RT ", "rt", "@ada_9", ":", " ", "\n", "\u00a0", "-", "#", "http"),
    *("https://", "www.", "bit.ly", ".com", "/x1", "&", "amp;", "lt;", "&#39;", "..", "w"),
    *("Ã©", "Ã", "\u00e2\u0098\u0095", "\u00a9", "İ", "ß", "☕", "é", "e\u0301"),
    *(".", "/", "'", "\u2019", "`", "1,000", "u.s.", "\uff28", "\u2122", "\ufffd", "ж"),
)
tweets_like = st.lists(st.sampled_from(TRICKY_STRINGS), max_size=12).map("".join) | st.text(max_size=40)


def cleaned(text):
    return clean_string(normalize_tweet(text))


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
        ("\u0663\u00b2 3", "3"),  # digits of other scripts and superscripts are removed
    ],
)
def test_clean_string_gives_the_expected_text(text, expected):
    assert clean_string(text) == expected


@given(st.text())
def test_clean_string_gives_words_of_letters_and_digits_and_is_idempotent(text):
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
        ("It&#39;s &quot;on&quot;", 'Its "on"'),
        ("AT&T & co", "AT T & co"),
    ],
)
def test_entities_are_unescaped(text, expected):
    assert normalize_tweet(text) == expected


@given(st.text("ab &<>'\"", max_size=20), st.integers(1, 3))
def test_a_tweet_escaped_several_times_is_cleaned_like_the_original(text, times):
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
def test_a_url_directly_after_a_word_leaves_the_word(url):
    assert cleaned(f"look{url} now") == cleaned(f"look:{url} now") == "look now"


@pytest.mark.parametrize("url", ["bit.ly/x", "www.example.com"])
def test_a_bare_address_after_punctuation_leaves_the_word(url):
    assert cleaned(f"look:{url} now") == cleaned(f"look->{url} now") == cleaned(f"look,{url} now") == "look now"


@pytest.mark.parametrize(
    "text, expected",
    [
        ("tired.so tired", "tired so tired"),
        ("yes/no or 9/10", "yes no or 9 10"),
        ("at 5.30 or later...", "at 5 30 or later"),
    ],
)
def test_dots_and_slashes_alone_are_not_a_url(text, expected):
    assert cleaned(text) == expected


@pytest.mark.parametrize(
    "url",
    [
        *("youtu.be/dQw4w9WgXcQ", "fb.me/2abc", "instagr.am/p/aXy/", "lnkd.in/dA2", "tr.im/lZId", "t.co/abc"),
        *("goo.gl/abc", "tempo.omroep.nl/page", "cam.ac.uk/people", "BBC.CO.UK/Radio1", "my.site.eu/"),
    ],
)
def test_short_links_and_addresses_with_a_known_ending_are_urls(url):
    assert cleaned(f"look at {url} now") == cleaned(f"look at {url}... now") == "look at now"


@pytest.mark.parametrize(
    "text",
    [
        *("St.Louis/Chicago", "home.and/or", "now.he/she", "home.in/out", "worse.Puking/burping?", "did.Milan/milano"),
        *("yes.no/maybe", "me.you/him", "Mr.Smith/Mrs.Smith", "log.in/Out", "A.B/C", "9.am/5pm", "10.30/11"),
    ],
)
def test_words_around_a_dot_and_a_slash_are_not_a_url(text):
    words = re.findall("[a-z0-9]+", text.lower())
    assert cleaned(f"look at {text} now") == " ".join(["look", "at", *words, "now"])


def test_the_word_http_alone_is_not_a_url():
    assert cleaned("what is HTTP, or https") == "what is http or https"
    assert cleaned("look http: look http:/ look http//x.com") == "look look look"


@pytest.mark.parametrize("word", ["awww", "Awwwww", "ewww", "owww", "NOWWW"])
def test_a_word_that_ends_in_www_and_a_dot_is_not_a_url(word):
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
def test_mentions_are_removed(text, expected):
    assert cleaned(text) == expected


@pytest.mark.parametrize(
    "mark", ["RT @ada: ", "RT @ada ", "rt @ada_9: ", "RT: @ada ", "RT@ada: ", "RT @ada: RT @bob: "]
)
@pytest.mark.parametrize("original", ["free tea today &lt;3", "@cy_1 look at bit.ly/x art", "Rtfm or start"])
def test_a_cleaned_retweet_equals_its_original(mark, original):
    assert cleaned(mark + original) == cleaned(original) != ""


def test_a_word_that_ends_in_rt_is_not_a_retweet_mark():
    assert cleaned("art @ada and a cart @bob") == "art and a cart"


@pytest.mark.parametrize("text", ["café", "¡mañana!", "tea ☕", "fine 😀", "naïve – “so”", "can’t", "Łódź", "привет"])
@pytest.mark.parametrize("times", [1, 2, 3])
def test_utf8_read_as_latin1_is_repaired(text, times):
    misread = text
    for _ in range(times):
        misread = misread.encode().decode("latin-1")
    assert normalize_tweet(misread) == normalize_tweet(text)


@pytest.mark.parametrize(
    "text, expected",
    [
        *(("café", "cafe"), ("Ã", "A"), ("Ã and ©", "A and ©"), ("déjà vu", "deja vu"), ("café…”", "cafe...”")),
        *(("\u00ed\u00a0\u0080", "i \u0080"), ("\u00e0\u0080\u0080", "a\u0080\u0080")),
        ("cafÃ© à la Ã mode, naïve", "cafe a la A mode, naive"),
    ],
)
def test_text_that_is_not_misread_utf8_is_not_repaired(text, expected):
    assert normalize_tweet(text) == expected


# Separating words

PUNCTUATION = (
    *(".", "...", "/", "//", "-", "--", "_", ",", "!", "?!", "&", "+", "(", ")(", ":", ";", "*", "=", "<", "->", "#"),
    *("$", "%", "^", "~", "|", "\\", '"', "[", "{", ":-)", "'...", "...'", "—", "–", "‑", "…", "•", "·", "“", "»"),
    *(
        "€",
        "™",
        "®",
        "♥",
        "☕",
        "😀",
        "👍🏽",
        "👩\u200d👧",
        "🇫🇷",
        "／",
        "！",
        "　",
        "\u00a0",
        "\u200b",
        "\ud83d",
        "ж",
        "\x00",
    ),
)


@pytest.mark.parametrize("mark", PUNCTUATION)
def test_words_that_punctuation_separates_stay_apart(mark):
    assert cleaned(f"so tired{mark}want") == cleaned(f"so tired{mark} want") == "so tired want"
    assert cleaned(f"A{mark}b{mark}9") == "a b 9"
    assert cleaned(f"{mark}Café{mark}été{mark}") == "cafe ete"


# No word of these letters ends a URL or names an HTML entity.
@given(st.lists(st.text("aenosAENOS19", min_size=1), max_size=5), st.lists(st.sampled_from(PUNCTUATION), min_size=5))
def test_punctuation_between_words_acts_as_a_space(words, marks):
    text = "".join(word + mark for word, mark in zip(words, marks, strict=False))
    assert cleaned(text) == " ".join(words).lower()


@pytest.mark.parametrize(
    "text, expected",
    [
        *(
            ("24/7", "24 7"),
            ("9.30 or 9:30", "9 30 or 9 30"),
            ("$5.99", "5 99"),
            ("3-4", "3 4"),
            ("1½ cup", "1 1 2 cup"),
        ),
        *(("1,000", "1 000"), ("$10,000,000!", "10 000 000"), ("a.m.", "a m"), ("U.S.-made", "u s made")),
        *(("well-known", "well known"), ("#tag#other", "tag other"), ("AT&amp;T", "at t"), ("w/o", "w o")),
        *(("so :-)", "so"), ("so :Dhaha", "so dhaha"), ("i<3you", "i 3you"), ("o_O", "o o"), ("80%!", "80")),
    ],
)
def test_numbers_abbreviations_and_smileys_have_no_exception(text, expected):
    assert cleaned(text) == expected


@pytest.mark.parametrize(
    "apostrophe",
    [
        "'",
        "’",
        "‘",
        "ʼ",
        "`",
        "´",
        "＇",
        "′",
        "\x92",
        "\ufffd",
        "&#39;",
        "&rsquo;",
        "&apos;",
        "&amp;#39;",
        "\xe2\x80\x99",
    ],
)
def test_apostrophes_are_dropped(apostrophe):
    assert cleaned(f"I can{apostrophe}t, rock{apostrophe}n{apostrophe}roll") == "i cant rocknroll"
    assert cleaned(f"l{apostrophe}été{apostrophe}s {apostrophe}so{apostrophe}") == "letes so"


@pytest.mark.parametrize(
    "text, expected",
    [
        ("naïve résumé", "naive resume"),
        ("Crème BRÛLÉE à Ñandú", "creme brulee a nandu"),
        ("Straße GROẞ", "strasse gross"),
        ("Ørsted smørrebrød Æther œuvre", "orsted smorrebrod aether oeuvre"),
        ("Łódź đồng Þór ðe ħ", "lodz dong thor de h"),
        ("İstanbul ışık", "istanbul isik"),
        ("ｆｕｌｌ　ＷＩＤＴＨ１２", "full width12"),
        ("ﬁne ﬂat", "fine flat"),
        ("𝓯𝓪𝓷𝓬𝔂 𝟗 Ⓗⓔⓨ", "fancy 9 hey"),
        ("iPhone™ 5€ m²", "iphone 5 m2"),
        ("so\u00adft zero\u200dwidth\ufeff", "soft zerowidth"),
        ("@café hi ＠ada ｈｔｔｐ：／／x.com/y", "hi"),
    ],
)
def test_letters_become_plain(text, expected):
    for form in ("NFC", "NFD"):
        assert cleaned(unicodedata.normalize(form, text)) == expected


def test_every_accented_latin_letter_becomes_its_base():
    for letter in map(chr, range(0x80, 0x2000)):
        base, *accents = unicodedata.normalize("NFD", letter)
        if accents and base.isascii() and base.isalpha():
            assert cleaned(f"x{letter}x") == f"x{base.lower()}x", ascii(letter)


@given(st.text("aEx1éüñÅÇłßﬁ\u0301\u0308☕.'’/- "))
def test_composed_and_decomposed_accents_are_cleaned_alike(text):
    composed, decomposed = (cleaned(unicodedata.normalize(form, text)) for form in ("NFC", "NFD"))
    assert composed == decomposed == cleaned(text)


@given(tweets_like)
def test_cleaning_a_cleaned_tweet_changes_nothing(text):
    once = cleaned(text)
    assert cleaned(once) == once


# Columns


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

    def test_do_not_change_their_input(self, column_function, row_function):
        column = pd.Series(MESSY_TWEETS)
        column_function(column)
        assert column.tolist() == list(MESSY_TWEETS)

    def test_keep_repeated_labels(self, column_function, row_function):
        texts = ["a &amp; b", "C &lt; d", "e"]
        result = column_function(pd.Series(texts, index=["x", "x", "y"]))
        assert result.tolist() == [row_function(text) for text in texts]
        assert result.index.tolist() == ["x", "x", "y"]


@pytest.mark.slow
def test_every_unicode_character_is_cleaned_by_the_same_rule():
    characters = [chr(i) for i in range(sys.maxunicode + 1) if not 0xD800 <= i < 0xE000]
    expected = [re.sub(r"\s+", " ", re.sub(r"[^a-z0-9\s]", "", f"a{c}b".lower())).strip() for c in characters]
    assert clean_strings(pd.Series(f"a{c}b" for c in characters)).tolist() == expected


@given(tweets_like)
def test_the_quick_checks_before_the_patterns_change_no_result(text):
    expected = cleaning._plain_letters(cleaning._unescape_entities(cleaning._repair_encoding(text)))
    for pattern in (cleaning.URL, cleaning.RETWEET_MARK, cleaning.MENTION):
        expected = pattern.sub(" ", expected)
    assert normalize_tweet(text) == cleaning.BETWEEN_WORDS.sub(" ", re.sub("['`]", "", expected))


@pytest.mark.parametrize(
    "repeated",
    [
        *("a-", "a.", "a.aa", "a.com ", "a.bc/", "a.in/", "www.", "rt ", "amp;", "@", "@a", "http", "//", "&#", "-"),
        *("'", ".'", "...", "Ã©", "e\u0301", "\u0083"),
    ],
)
@pytest.mark.parametrize("start", ["rt", "Ã"])
@pytest.mark.parametrize("ending", ["", "@", "@a", ".com", "&amp;"])
def test_the_time_is_linear_in_the_length(start, repeated, ending):
    """With a quadratic pattern this test would take minutes."""
    assert len(cleaned(f"{start}{repeated * 50_000}{ending}")) < 300_000
