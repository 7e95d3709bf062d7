"""The LSTM in int8 with n-grams, from a folder that needs onnxruntime, tokenizers, numpy and better-profanity alone."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path

import numpy as np

from src.deploy.ngram_file import NGRAM_FILE, NgramFile
from src.deploy.onnx_lstm import FILES, INT8_FILE, OnnxLSTM, Precision
from src.deploy.read_texts import ReadTexts
from src.text.calibration import Calibration
from src.text.context_weight import ContextWeight
from src.text.offensive import complete_without, offensive_words
from src.text.prefixes import MAX_NEW_TOKENS, Completion
from src.text.word_search import softmax

DEVICE_DIR, SETTINGS_FILE, TOKENIZER_FILE = "device", "settings.json", "tokenizer.json"
# Files whose checksums are in the settings.
CHECKED = (INT8_FILE, NGRAM_FILE, TOKENIZER_FILE)
ADVICE = "copy the folder again, or make it again with src.recipe.build_device"


class DeviceError(ValueError):
    """A device folder can't be used; the message says why and what to do."""


class DeviceLM(OnnxLSTM):
    """An LSTM with n-grams that completes tweets: a `src.text.prefixes.TweetCompleter`.

    The probability of a token is a weighted mean of both models' probabilities.

    Args:
        folder: the folder `device` of a run, which `src.recipe.build_device` writes.
        precision: precision of the LSTM. Exported folders hold only "int8".
        allow_offensive_words: suggest the words of `src.text.offensive.offensive_words` too. Whatever
            measures the model sets this, because the filter is no part of the model.

    Raises:
        FileNotFoundError: a file is missing.
        DeviceError: a file is damaged or of another run.
        WordListError: the list of offensive words is needed and can't be read.
    """

    def __init__(self, folder: str | Path, precision: Precision = "int8", *, allow_offensive_words: bool = False):
        folder = Path(folder)
        self.left_out = frozenset() if allow_offensive_words else offensive_words()
        for name in (FILES[precision], NGRAM_FILE, TOKENIZER_FILE, SETTINGS_FILE):
            if not (folder / name).is_file():
                raise FileNotFoundError(f"There is no {folder / name}: {ADVICE}")
        settings = read_settings(folder / SETTINGS_FILE)
        for name, checksum in settings.checksums.items():
            if (folder / name).is_file() and file_checksum(folder / name) != checksum:
                raise DeviceError(f"{folder / name} is damaged or of another run: {ADVICE}")
        self._open_graph(folder / FILES[precision], ADVICE)
        self.ngrams = NgramFile(folder / NGRAM_FILE)
        self._open_tokenizer(folder, settings.special_tokens)
        self.calibration, self.weight = settings.calibration, settings.weight
        self.min_probability = settings.min_probability
        sizes = self.tokenizer.get_vocab_size(), self.eos_id
        if sizes != (self.ngrams.vocab_size, self.ngrams.eos_id) or None in self.bos_ids:
            raise DeviceError(f"{folder / SETTINGS_FILE} has other special tokens than the models: {ADVICE}")
        if len(self.weight.coefficients) != 2 * self.ngrams.order:
            raise DeviceError(f"{folder / SETTINGS_FILE} has the weight of other n-grams: {ADVICE}")
        self.texts = ReadTexts(self)

    def probabilities(self, texts: Sequence[tuple[int, ...]], logits: np.ndarray) -> np.ndarray:
        neural = softmax(logits)
        ngram, context = self.ngrams.look_up_all(texts)
        weight = self._weight(neural, context)
        # In place: the vocabulary is large.
        neural *= 1 - weight
        ngram *= weight
        neural += ngram
        return neural

    def complete(
        self, prefixes: Sequence[str], n: int = 1, half_typed: bool = False, max_new_tokens: int = MAX_NEW_TOKENS
    ) -> list[list[Completion]]:
        """Complete each prefix as `OnnxLSTM` does, without the words that are left out (`complete_without`)."""
        return complete_without(self.left_out, super().complete, prefixes, n, half_typed, max_new_tokens)

    def _weight(self, neural: np.ndarray, context: np.ndarray) -> np.ndarray:
        """The n-grams' weight after each text, float32 [texts, 1]."""
        log_odds = self.weight.log_odds(np.log(neural.max(axis=1)), context)
        return (1 / (1 + np.exp(-np.clip(log_odds, -30, 30))))[:, None].astype(np.float32)


@dataclass(frozen=True)
class Settings:
    """What `settings.json` holds.

    Attributes:
        special_tokens: by their names, such as "eos_token".
        calibration: of the two models together.
        weight: of the n-grams.
        min_probability: a suggestion continues as long as its continuation is as probable.
        checksums: sha256 of the other files that are read, in hexadecimal digits.
    """

    special_tokens: dict[str, str]
    calibration: Calibration
    weight: ContextWeight
    min_probability: float
    checksums: dict[str, str]


def read_settings(path: Path) -> Settings:
    """Read `settings.json`.

    Raises:
        DeviceError: it does not hold the settings.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        special_tokens, checksums = values["special_tokens"], values["sha256"]
        weight = ContextWeight.from_list(values["ngram_weight"])
        min_probability = values["min_probability"]
        are_texts = all(
            isinstance(entries, dict) and all(isinstance(value, str) for value in entries.values())
            for entries in (special_tokens, checksums)
        )
        is_valid = are_texts and "eos_token" in special_tokens and set(checksums) == set(CHECKED)
        if not is_valid or type(min_probability) is not float or not 0 <= min_probability <= 1:
            raise ValueError("a value is missing or out of range")
        return Settings(special_tokens, Calibration(**values["calibration"]), weight, min_probability, checksums)
    except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise DeviceError(f"{path} can't be used ({type(error).__name__}): {ADVICE}") from None


def file_checksum(path: Path) -> str:
    """The sha256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
