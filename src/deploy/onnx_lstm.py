"""Completions from an exported LSTM with onnxruntime and tokenizers alone, without torch."""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from src.deploy.read_texts import ReadTexts, State, TextReader
from src.text.calibration import load_calibration
from src.text.prefixes import MAX_NEW_TOKENS, Completion, check_request, split_prefix, token_limit
from src.text.word_search import MIN_PROBABILITY, WordSearch, softmax
from src.text.word_starts import WordStarts

ONNX_FILE, INT8_FILE = "model.onnx", "model.int8.onnx"
Precision = Literal["float32", "int8"]
FILES = {"float32": ONNX_FILE, "int8": INT8_FILE}


class OnnxLSTM:
    """An exported LSTM that completes tweets: a `src.text.prefixes.TweetCompleter`.

    It keeps what it has read of the last texts, so a keystroke reads little again. In int8, texts that are read
    together share the scale of their rounding, so a probability may change by a hundredth with what was asked before.

    Args:
        run_dir: a run folder to which `src.deploy.export.export_onnx` has written the model.
        precision: "int8" takes a quarter of the space of "float32".

    Raises:
        FileNotFoundError: the model has not been exported yet, or only by an earlier version of this project.
        ValueError: a file is damaged, or the exported model is not an LSTM.
        CalibrationError: the run's `calibration.json` is damaged.
    """

    def __init__(self, run_dir: str | Path, precision: Precision = "int8"):
        advice = f"write it with src.deploy.export.export_onnx({str(run_dir)!r})"
        self._open_graph(Path(run_dir) / FILES[precision], advice)
        self._open_tokenizer(run_dir, read_special_tokens(Path(run_dir) / "special_tokens_map.json"))
        self.calibration, self.min_probability = load_calibration(run_dir), MIN_PROBABILITY
        self.texts = ReadTexts(self)

    def _open_graph(self, path: Path, advice: str) -> None:
        if not path.is_file():
            raise FileNotFoundError(f"There is no {path}: {advice}")
        options = onnxruntime.SessionOptions()
        # The other cores stay free for the application, such as the demo page.
        options.intra_op_num_threads = 1
        try:
            self.session = onnxruntime.InferenceSession(path, options)
        except Exception as error:  # The library raises errors of many types for a damaged file.
            raise ValueError(f"{path} can't be read ({type(error).__name__}): {advice}") from None
        if [one.name for one in self.session.get_inputs()] != ["input_ids", "hidden", "cell"]:
            raise ValueError(f"{path} is not an exported LSTM: give the run folder of an LSTM")
        self.num_layers, num_rows, self.hidden_dim = self.session.get_inputs()[1].shape
        if num_rows == 1:
            raise FileNotFoundError(f"{path} is of an earlier version and reads one row at a time: {advice}")

    def _open_tokenizer(self, folder: str | Path, special_tokens: dict[str, str]) -> None:
        path = Path(folder) / "tokenizer.json"
        try:
            self.tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # The library raises no narrower type.
            raise ValueError(f"{path} can't be read ({error}): restore the file") from None
        self.eos_id = self.tokenizer.token_to_id(special_tokens["eos_token"])
        bos_token = special_tokens.get("bos_token")
        self.bos_ids = [] if bos_token is None else [self.tokenizer.token_to_id(bos_token)]
        tokens = [self.tokenizer.id_to_token(i) for i in range(self.tokenizer.get_vocab_size())]
        self.word_search = WordSearch(WordStarts(tokens, special_tokens.values()), self.eos_id)

    @property
    def completes_first_words(self) -> bool:
        return bool(self.bos_ids)

    def read(self, input_ids: np.ndarray, state: State | None = None) -> tuple[np.ndarray, State]:
        """Read one or more tokens in each row, from a state or from the beginning of a text.

        Args:
            input_ids: int64 [rows, length].
            state: float32 [layers, rows, hidden_dim] each.

        Returns:
            logits after the last token, float32 [rows, vocab], and the state there.
        """
        hidden, cell = state or (np.zeros((self.num_layers, len(input_ids), self.hidden_dim), dtype=np.float32),) * 2
        logits, hidden, cell = self.session.run(None, {"input_ids": input_ids, "hidden": hidden, "cell": cell})
        return logits, (hidden, cell)

    def probabilities(self, texts: Sequence[tuple[int, ...]], logits: np.ndarray) -> np.ndarray:
        """Probabilities of the token after each text, float32 [texts, vocab], from the logits of `read`."""
        return softmax(logits)

    def complete(
        self, prefixes: Sequence[str], n: int = 1, half_typed: bool = False, max_new_tokens: int = MAX_NEW_TOKENS
    ) -> list[list[Completion]]:
        """Complete each prefix with new words, in n different ways, as `TweetCompleter` says.

        Returns:
            n completions for each prefix with different next words, the most probable word first.

        Raises:
            ValueError: n or `max_new_tokens` is less than 1.
            PrefixError: as from `src.text.prefixes.split_prefix`.
        """
        check_request(prefixes, n, max_new_tokens)
        split = [split_prefix(prefix, i, half_typed, self.completes_first_words) for i, prefix in enumerate(prefixes)]
        min_probability = self.min_probability if half_typed else 0.0
        limits = [(n, token_limit(max_new_tokens, typed), min_probability) for _, typed in split]
        return [self._suggestions(words, typed, *limit) for (words, typed), limit in zip(split, limits)]

    def _suggestions(
        self, words: str, typed: str, n: int, max_new_tokens: int, min_probability: float
    ) -> list[Completion]:
        prompt = tuple(self.bos_ids + self.tokenizer.encode(words, add_special_tokens=False).ids)
        reader = TextReader(self.texts, prompt)
        [found] = self.word_search.suggest(reader, [typed], n, max_new_tokens, min_probability)
        self.texts.forget()
        decode = partial(self.tokenizer.decode, skip_special_tokens=True)
        return [suggestion.completion(decode, self.calibration) for suggestion in found]


def read_special_tokens(path: Path) -> dict[str, str]:
    """Read the special tokens of a run by their names, such as "eos_token".

    Raises:
        ValueError: the file is damaged.
    """
    try:
        tokens = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        tokens = {}
    if not isinstance(tokens, dict) or "eos_token" not in tokens:
        raise ValueError(f"{path} does not hold the special tokens of a run: restore the file")
    return tokens
