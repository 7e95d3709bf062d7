"""The LSTM in int8 with n-grams, from a folder that needs onnxruntime, tokenizers and numpy alone."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from src.deploy.ngram_file import NGRAM_FILE, NgramFile
from src.deploy.onnx_lstm import FILES, OnnxLSTM, Precision
from src.deploy.read_texts import ReadTexts
from src.text.calibration import Calibration
from src.text.context_weight import ContextWeight
from src.text.word_search import softmax

DEVICE_DIR, SETTINGS_FILE = "device", "settings.json"


class DeviceError(ValueError):
    """A device folder can't be used; the message says why and what to do."""


class DeviceLM(OnnxLSTM):
    """An LSTM with n-grams that completes tweets: a `src.text.prefixes.TweetCompleter`.

    The probability of a token is a weighted mean of both models' probabilities.

    Args:
        folder: the folder `device` of a run, which `src.deploy.export.export_device` writes.
        precision: of the LSTM; a folder is written with "int8".

    Raises:
        FileNotFoundError: a file is missing.
        DeviceError: `settings.json` is damaged, or the models have different vocabularies.
        NgramFileError: the n-grams are damaged.
    """

    def __init__(self, folder: str | Path, precision: Precision = "int8"):
        folder = Path(folder)
        self._open_graph(folder / FILES[precision], "write the folder with src.deploy.export.export_device")
        self.ngrams = NgramFile(folder / NGRAM_FILE)
        settings = read_settings(folder / SETTINGS_FILE, self.ngrams.order)
        special_tokens, self.calibration, self.weight, self.min_probability = settings
        self._open_tokenizer(folder, special_tokens)
        sizes = self.tokenizer.get_vocab_size(), self.ngrams.vocab_size
        if sizes[0] != sizes[1] or self.eos_id != self.ngrams.eos_id:
            counts = f"{sizes[0]} and {sizes[1]} tokens"
            raise DeviceError(f"{folder} has the files of different runs ({counts}): export the run again")
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

    def _weight(self, neural: np.ndarray, context: np.ndarray) -> np.ndarray:
        """The n-grams' weight after each text, float32 [texts, 1]."""
        log_odds = self.weight.log_odds(np.log(neural.max(axis=1)), context)
        return (1 / (1 + np.exp(-np.clip(log_odds, -30, 30))))[:, None].astype(np.float32)


def read_settings(path: Path, order: int) -> tuple[dict[str, str], Calibration, ContextWeight, float]:
    """Read special tokens, calibration, weight of n-grams of this order, and where suggestions end."""
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
        special_tokens = {str(name): str(token) for name, token in settings["special_tokens"].items()}
        calibration = Calibration(**settings["calibration"])
        weight = ContextWeight.from_list(settings["ngram_weight"], order)
        min_probability = float(settings["min_probability"])
        if "eos_token" not in special_tokens or not 0 <= min_probability <= 1:
            raise ValueError("a value is missing or out of range")
    except FileNotFoundError:
        raise FileNotFoundError(f"There is no {path}: write the folder with src.deploy.export.export_device") from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise DeviceError(f"{path} can't be used ({type(error).__name__}): export the run again") from None
    return special_tokens, calibration, weight, min_probability
