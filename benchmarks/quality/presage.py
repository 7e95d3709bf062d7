"""Presage, the text predictor that Linux distributions have as a package, as a baseline for typing.

Presage 0.9.1 comes with a trigram model of English novels. `apt-get install presage` installs it on Debian and Ubuntu.
"""

import ctypes
import re
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from src.text.cleaning import clean_string
from src.text.prefixes import MAX_NEW_TOKENS, Completion, check_request, split_prefix

LIBRARY = "libpresage.so.1"
CONFIG_FILE = Path("/etc/presage.xml")
# Presage learns nothing from the tweets, and what it suggests does not depend on what it was asked before. Expanded
# abbreviations are left out: they replace the typed letters.
CONFIG = {
    "PREDICTORS": "DefaultSmoothedNgramPredictor DefaultRecencyPredictor",
    "ONLINE_LEARNING": "no",
    "REPEAT_SUGGESTIONS": "yes",
}
SUGGESTIONS = "Presage.Selector.SUGGESTIONS"
GetText = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)


class NotInstalledError(OSError):
    """Presage is not installed; the message says how to install it."""


class Presage:
    """Presage with its English model: a `src.text.prefixes.TweetCompleter`. A suggestion is one word.

    Raises:
        NotInstalledError: presage is not installed.
    """

    completes_first_words = True

    def __init__(self):
        try:
            self.library = ctypes.CDLL(LIBRARY)
            config = CONFIG_FILE.read_text(encoding="utf-8")
        except OSError as error:
            raise NotInstalledError(f"presage is not installed ({error}): run apt-get install presage") from error
        for name, value in CONFIG.items():
            config = re.sub(f"<{name}>.*?</{name}>", f"<{name}>{value}</{name}>", config)
        self.text, nothing = ctypes.create_string_buffer(b""), ctypes.create_string_buffer(b"")
        # Presage keeps the two functions, so they must live as long as it does.
        self.functions = GetText(lambda _: ctypes.addressof(self.text)), GetText(lambda _: ctypes.addressof(nothing))
        self.handle = ctypes.c_void_p()
        with TemporaryDirectory() as folder:
            path = Path(folder) / "presage.xml"
            path.write_text(config, encoding="utf-8")
            before, after = self.functions
            self._call("new_with_config", before, None, after, None, bytes(path), ctypes.byref(self.handle))

    def complete(
        self, prefixes: Sequence[str], n: int = 1, half_typed: bool = False, max_new_tokens: int = MAX_NEW_TOKENS
    ) -> list[list[Completion]]:
        """Complete each prefix with one word, in at most n different ways, as `TweetCompleter` says.

        Presage tells no probabilities.
        """
        check_request(prefixes, n, max_new_tokens)
        # Some suggestions are equal after cleaning.
        self._call("config_set", self.handle, SUGGESTIONS.encode(), str(2 * n).encode())
        split = [split_prefix(prefix, i, half_typed, True) for i, prefix in enumerate(prefixes)]
        return [self._suggestions(words, typed)[:n] for words, typed in split]

    def _suggestions(self, words: str, typed: str) -> list[Completion]:
        self.text = ctypes.create_string_buffer(f"{words} {typed}".lstrip().encode())
        found = ctypes.POINTER(ctypes.c_char_p)()
        self._call("predict", self.handle, ctypes.byref(found))
        suggested = []
        while found[len(suggested)] is not None:
            suggested.append(found[len(suggested)].decode("utf-8", errors="replace"))
        self.library.presage_free_string_array(found)
        cleaned = [word for word in map(clean_string, suggested) if word.startswith(typed) and word.isalnum()]
        return [Completion(word, confidence=0.0) for word in dict.fromkeys(cleaned)]

    def _call(self, function: str, *arguments: object) -> None:
        error_code = getattr(self.library, f"presage_{function}")(*arguments)
        if error_code:
            raise RuntimeError(f"presage_{function} failed with error {error_code}")
