"""Turn a raw tweet into lower-case words.

`normalize_tweet` repairs broken encodings and HTML entities and removes URLs, retweet marks and
mentions. `clean_string` then keeps lower-case words only.
"""

import html
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

# A two-, three- or four-byte UTF-8 sequence whose bytes were each read as one latin-1 character.
UTF8_READ_AS_LATIN1 = re.compile(r"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
URL = re.compile(
    # "www." counts only at the start of a word: "awww. so cute" holds no URL.
    r"(?:https?\b|ftp://|(?<!\w)www\.)\S*"
    # Bare addresses: a dotted name followed by a path, or one whose ending is no English word.
    # The limit of ten labels, and matching only from the start of a name, keep the time linear in the text's length.
    r"|(?<![\w-])[\w-]++(?:\.[\w-]++){0,9}\.[a-z]{2,6}/\S*"
    r"|(?<![\w-])[\w-]++(?:\.[\w-]++){0,9}\.(?:(?:com|net|org|edu|gov|info|co\.[a-z]{2})(?:\.[a-z]{2})?|ly|tv|fm|gl)\b"
    r"(?:[?#]\S*|:\d\S*)?",
    re.ASCII | re.IGNORECASE,
)
# Every URL holds one of these marks or a dotted name. Both are much faster to find than the full pattern.
URL_MARKS = ("http", "://", "www.")
DOTTED_NAME = re.compile(r"\.[a-z]{2}", re.ASCII | re.IGNORECASE)
# "RT @user:" marks a copy. Without the mark a copy equals its original, so deduplication removes it.
RETWEET_MARK = re.compile(r"\brt\s*+(?::\s*+)?@\w+:?", re.ASCII | re.IGNORECASE)
MENTION = re.compile(r"@\w+", re.ASCII)
NOT_ALPHANUMERIC = re.compile(r"[^a-z0-9\s]")


def _repair_match(match: re.Match) -> str:
    try:
        return match.group().encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        return match.group()


def _unescape_entities(text: str) -> str:
    """Unescape HTML entities until none is left. Many tweets were escaped twice (`&amp;lt;`)."""
    while (unescaped := html.unescape(text)) != text:
        text = unescaped
    return text


def _may_hold_url(text: str) -> bool:
    lowered = text.lower()
    return any(mark in lowered for mark in URL_MARKS) or DOTTED_NAME.search(text) is not None


def normalize_tweet(text: str) -> str:
    """Repair a raw tweet and remove what is not words.

    UTF-8 sequences that were read as latin-1 are repaired. HTML entities are unescaped, even if
    they were escaped several times. A space replaces each URL, retweet mark and @mention.
    """
    # Most tweets need none of these steps, and each check is much faster than its pattern.
    if not text.isascii():
        text = UTF8_READ_AS_LATIN1.sub(_repair_match, text)
    if "&" in text:
        text = _unescape_entities(text)
    if _may_hold_url(text):
        text = URL.sub(" ", text)
    if "@" in text:
        text = MENTION.sub(" ", RETWEET_MARK.sub(" ", text))
    return text


def clean_string(text: str) -> str:
    """Lower-case `text`, keep only a-z, digits and spaces, and collapse runs of spaces. Idempotent."""
    return " ".join(NOT_ALPHANUMERIC.sub("", text.lower()).split())


def normalize_tweets(texts: "pd.Series") -> "pd.Series":
    """Apply `normalize_tweet` to every row, string [rows]; the index is kept."""
    return texts.astype(object).map(normalize_tweet)


def clean_strings(texts: "pd.Series") -> "pd.Series":
    """Apply `clean_string` to every row, string [rows]; the index is kept."""
    return texts.astype(object).map(clean_string)


def have_two_words(texts: "pd.Series") -> "pd.Series":
    """Tell which cleaned texts have two words or more, as context and target need; bool [rows]."""
    return texts.str.contains(" ", regex=False)
