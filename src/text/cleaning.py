"""From a raw tweet to lower-case words, with nothing but Python.

A raw tweet is first normalised (`normalize_tweet`: entities, URLs, mentions, broken
encodings), then reduced to lower-case words (`clean_string`).
"""

import html
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

# A two-, three- or four-byte UTF-8 sequence whose bytes were each read as one latin-1 character.
UTF8_READ_AS_LATIN1 = re.compile(r"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
URL = re.compile(
    # Not "awww. so cute".
    r"(?:https?\b|ftp://|(?<!\w)www\.)\S*"
    # Bare addresses: any dotted name with a path, or without one if the ending can't be an English word.
    # No more than ten parts, from where one begins, so that the time is in proportion to the text.
    r"|(?<![\w-])[\w-]++(?:\.[\w-]++){0,9}\.[a-z]{2,6}/\S*"
    r"|(?<![\w-])[\w-]++(?:\.[\w-]++){0,9}\.(?:(?:com|net|org|edu|gov|info|co\.[a-z]{2})(?:\.[a-z]{2})?|ly|tv|fm|gl)\b"
    r"(?:[?#]\S*|:\d\S*)?",
    re.ASCII | re.IGNORECASE,
)
# What every address has, but few tweets: found without trying the whole pattern.
ADDRESS_MARKS = ("http", "://", "www.")
DOTTED_NAME = re.compile(r"\.[a-z]{2}", re.ASCII | re.IGNORECASE)
# "RT @user:" marks a copy; without it the copy equals its original and is found by the deduplication.
RETWEET_MARK = re.compile(r"\brt\s*+(?::\s*+)?@\w+:?", re.ASCII | re.IGNORECASE)
MENTION = re.compile(r"@\w+", re.ASCII)
NOT_ALPHANUMERIC = re.compile(r"[^a-z0-9\s]")


def _repair_match(match: re.Match) -> str:
    try:
        return match.group().encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        return match.group()


def _unescape_entities(text: str) -> str:
    """Unescape HTML entities until none is left: tweets were often escaped twice (`&amp;lt;`)."""
    while (unescaped := html.unescape(text)) != text:
        text = unescaped
    return text


def _may_hold_url(text: str) -> bool:
    lowered = text.lower()
    return any(mark in lowered for mark in ADDRESS_MARKS) or DOTTED_NAME.search(text) is not None


def normalize_tweet(text: str) -> str:
    """Repair and strip what is not the writer's own words in a raw tweet.

    UTF-8 sequences that were read as latin-1 are repaired, HTML entities unescaped (also
    doubly escaped ones), and URLs, retweet marks and @mentions replaced by a space.
    """
    # Most tweets have none of it, and looking whether they might is much faster than each pattern.
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
    """Lower-case `text`, remove all but a-z, digits and spaces, squeeze spaces. Idempotent."""
    return " ".join(NOT_ALPHANUMERIC.sub("", text.lower()).split())


def normalize_tweets(texts: "pd.Series") -> "pd.Series":
    """`normalize_tweet` for a whole column."""
    return texts.astype(object).map(normalize_tweet)


def clean_strings(texts: "pd.Series") -> "pd.Series":
    """`clean_string` for a whole column."""
    return texts.astype(object).map(clean_string)
