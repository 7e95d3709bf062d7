"""Turn a raw tweet into lower-case words.

`normalize_tweet` repairs broken encodings and HTML entities, writes accented letters as plain ones, removes URLs,
retweet marks and mentions, and separates words that only punctuation separated. `clean_string` then keeps lower-case
words only.
"""

import html
import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

# Raise it with every change that gives a tweet another cleaned text. The duplicates and so the splits are then others,
# and a run trained before may know tweets of the new test split.
CLEANING_VERSION = 2

# A two-, three- or four-byte UTF-8 sequence whose bytes were each read as one latin-1 character.
UTF8_READ_AS_LATIN1 = re.compile(r"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
# Without a limit the time of the repair could be quadratic in the text's length.
MAX_MISREADINGS = 5
URL = re.compile(
    # "www." counts only at the start of a word: "awww. so cute" holds no URL.
    r"(?:https?[:/]|ftp://|(?<!\w)www\.)\S*"
    # Bare addresses: a dotted name with one of these endings; or with another ending of two letters and a path that
    # holds a digit or a capital after a small letter, as short links do. Words around a slash ("home.in/out") do not.
    # The limits, and matching only from the start of a name, keep the time linear in the text's length.
    r"|(?<![\w-])[\w-]++(?:\.[\w-]++){0,9}\.(?:(?:com|net|org|edu|gov|info|co\.[a-z]{2})(?:\.[a-z]{2})?"
    r"|(?:ac\.)?uk|ly|tv|fm|gl|gd|co|de|fr|nl|eu|ca|au|br|jp)\b(?:[/?#]\S*|:\d\S*)?"
    r"|(?<![\w-])[\w-]++(?:\.[\w-]++){0,9}\.(?<!\d\.)[a-z]{2}/(?=\S{0,40}?(?:\d|(?-i:[a-z][A-Z])))\S*",
    re.ASCII | re.IGNORECASE,
)
# Every URL holds one of these marks or a dotted name. Both are much faster to find than the full pattern.
URL_MARKS = ("http", "://", "www.")
DOTTED_NAME = re.compile(r"\.[a-z]{2}", re.ASCII | re.IGNORECASE)
# "RT @user:" marks a copy. Without the mark a copy equals its original, so deduplication removes it.
RETWEET_MARK = re.compile(r"\brt\s*+(?::\s*+)?@\w+:?", re.ASCII | re.IGNORECASE)
MENTION = re.compile(r"@\w+", re.ASCII)
NOT_ALPHANUMERIC = re.compile(r"[^a-z0-9\s]")
ASCII_TO_LOWER = bytes(range(256)).lower()
ASCII_NOT_KEPT = "".join(NOT_ALPHANUMERIC.findall(ASCII_TO_LOWER[:128].decode())).encode()

# The last three: quotation marks of cp1252 read as latin-1, and the mark of a lost character, mostly an apostrophe.
APOSTROPHES = "’‘‛ʼʻʽˈ´′‵ꞌ՚\x91\x92\ufffd"
# Letters that Unicode's compatibility decomposition (NFKD) leaves, and characters that it would turn into letters.
LETTERS = {
    **{"ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L"},
    **{"đ": "d", "Đ": "D", "ð": "d", "Ð": "D", "þ": "th", "Þ": "Th", "ħ": "h", "Ħ": "H", "ı": "i", "ŋ": "n"},
    **{"™": " ", "℠": " ", "\u200b": " ", "¼": " 1/4 ", "½": " 1/2 ", "¾": " 3/4 "},
}
PLAIN = str.maketrans({**dict.fromkeys(APOSTROPHES, "'"), **LETTERS})
# Accents and invisible characters, such as the soft hyphen.
NOT_SPACING = ("Mn", "Me", "Cf")
# The lookbehind comes second because `re` quickly finds a first character.
BETWEEN_WORDS = re.compile(r"[^a-zA-Z0-9\s](?<=[a-zA-Z0-9].)[^a-zA-Z0-9\s]*+(?=[a-zA-Z0-9])", re.DOTALL)


def _repair_match(match: re.Match) -> str:
    try:
        return match.group().encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        return match.group()


def _repair_encoding(text: str) -> str:
    """Repair UTF-8 that was read as latin-1, up to `MAX_MISREADINGS` times."""
    for _ in range(MAX_MISREADINGS):
        repaired = UTF8_READ_AS_LATIN1.sub(_repair_match, text)
        if repaired == text:
            break
        text = repaired
    return text


def _unescape_entities(text: str) -> str:
    """Unescape HTML entities until none is left. Many tweets were escaped twice (`&amp;lt;`)."""
    while (unescaped := html.unescape(text)) != text:
        text = unescaped
    return text


def _may_hold_url(text: str) -> bool:
    lowered = text.lower()
    return any(mark in lowered for mark in URL_MARKS) or DOTTED_NAME.search(text) is not None


def _plain_letters(text: str) -> str:
    """Write accented, full-width and similar letters as a-z, and apostrophes of every kind as "'"."""
    decomposed = unicodedata.normalize("NFKD", text.translate(PLAIN))
    return "".join(letter for letter in decomposed if unicodedata.category(letter) not in NOT_SPACING)


def normalize_tweet(text: str) -> str:
    """Repair a raw tweet and remove what is not words.

    UTF-8 sequences that were read as latin-1 are repaired and HTML entities are unescaped, even if either
    happened several times. Accented letters become plain ones ("café" becomes "cafe") and
    apostrophes are dropped ("can't" becomes "cant"). A space replaces each URL, retweet mark and @mention,
    and punctuation and symbols between letters or digits: "so tired...want" becomes "so tired want".
    """
    # Most tweets need none of these steps, and each check is much faster than its pattern.
    if not text.isascii():
        text = _repair_encoding(text)
    if "&" in text:
        text = _unescape_entities(text)
    if not text.isascii():
        text = _plain_letters(text)
    if _may_hold_url(text):
        text = URL.sub(" ", text)
    if "@" in text:
        text = MENTION.sub(" ", RETWEET_MARK.sub(" ", text))
    return BETWEEN_WORDS.sub(" ", text.replace("'", "").replace("`", ""))


def clean_string(text: str) -> str:
    """Lower-case `text`, keep only a-z, digits and spaces, and collapse runs of spaces. Idempotent."""
    if text.isascii():
        # Bytes give the same and are much faster.
        kept = text.encode().translate(ASCII_TO_LOWER, ASCII_NOT_KEPT).decode()
    else:
        kept = NOT_ALPHANUMERIC.sub("", text.lower())
    return " ".join(kept.split())


def normalize_tweets(texts: "pd.Series") -> "pd.Series":
    """Apply `normalize_tweet` to every row, string [rows]; the index is kept."""
    return texts.astype(object).map(normalize_tweet)


def clean_strings(texts: "pd.Series") -> "pd.Series":
    """Apply `clean_string` to every row, string [rows]; the index is kept."""
    return texts.astype(object).map(clean_string)


def have_two_words(texts: "pd.Series") -> "pd.Series":
    """Tell which cleaned texts have two words or more, as context and target need; bool [rows]."""
    return texts.str.contains(" ", regex=False)
