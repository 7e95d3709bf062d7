"""Completions from an exported LSTM with onnxruntime and tokenizers alone, without torch."""

import json
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from src.text.cleaning import clean_string
from src.text.prefixes import MAX_NEW_TOKENS, Completion, check_request, split_prefix, token_limit
from src.text.word_starts import WordStarts

ONNX_FILE, INT8_FILE = "model.onnx", "model.int8.onnx"
Precision = Literal["float32", "int8"]
FILES = {"float32": ONNX_FILE, "int8": INT8_FILE}
State = tuple[np.ndarray, np.ndarray]


class OnnxLSTM:
    """An exported LSTM that completes tweets greedily: a `src.text.prefixes.TweetCompleter`.

    Args:
        run_dir: a run folder to which `src.deploy.export.export_onnx` has written the model.
        precision: "int8" takes a quarter of the space of "float32".

    Raises:
        FileNotFoundError: the model has not been exported yet.
    """

    def __init__(self, run_dir: str | Path, precision: Precision = "int8"):
        path = Path(run_dir) / FILES[precision]
        if not path.is_file():
            raise FileNotFoundError(
                f"There is no {path}: write it with src.deploy.export.export_onnx({str(run_dir)!r})"
            )
        options = onnxruntime.SessionOptions()
        # The other cores stay free for the application, such as the demo page.
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(path, options)
        self.tokenizer = Tokenizer.from_file(str(Path(run_dir) / "tokenizer.json"))
        special_tokens = json.loads((Path(run_dir) / "special_tokens_map.json").read_text(encoding="utf-8"))
        self.eos_id = self.tokenizer.token_to_id(special_tokens["eos_token"])
        tokens = [self.tokenizer.id_to_token(i) for i in range(self.tokenizer.get_vocab_size())]
        starts, self.all_ids = WordStarts(tokens, special_tokens.values()), np.arange(len(tokens))

        @lru_cache(maxsize=1024)
        def candidates(typed: str, new_ids: tuple[int, ...]) -> np.ndarray:
            ids = starts.candidates(typed, new_ids)
            return self.all_ids if ids is None else np.array(ids, dtype=np.int64)

        self.candidates = candidates
        self.state_shape = self.session.get_inputs()[1].shape

    def read(self, token_ids: Sequence[int], state: State | None = None) -> tuple[np.ndarray, State]:
        """Read one or more tokens, from a state or from the beginning of a text.

        Returns:
            logits after the last token, float32 [vocab], and the state there, float32 [layers, 1, hidden_dim] each.
        """
        hidden, cell = state or (np.zeros(self.state_shape, dtype=np.float32),) * 2
        inputs = {"input_ids": np.array([token_ids], dtype=np.int64), "hidden": hidden, "cell": cell}
        logits, hidden, cell = self.session.run(None, inputs)
        return logits[0], (hidden, cell)

    def complete(
        self, prefixes: Sequence[str], n: int = 1, half_typed: bool = False, max_new_tokens: int = MAX_NEW_TOKENS
    ) -> list[list[Completion]]:
        """Complete each prefix with new words, in n different ways, as `TweetCompleter` says.

        Returns:
            n completions for each prefix, best first by the probability of their first token. If fewer than n tokens
            can spell a half-typed word, suggestions differ in later tokens, and those with the most probable
            tokens come first. There is no beam search.

        Raises:
            ValueError: n or `max_new_tokens` is less than 1.
            PrefixError: a prefix has no letters a to z or digits 0 to 9, or none before a half-typed word.
        """
        check_request(n, max_new_tokens)
        split = [split_prefix(prefix, i, half_typed) for i, prefix in enumerate(prefixes)]
        return [self._suggestions(words, typed, n, token_limit(max_new_tokens, typed)) for words, typed in split]

    def _suggestions(self, words: str, typed: str, n: int, max_new_tokens: int) -> list[Completion]:
        suggestions: dict[str, Completion] = {}
        beginnings = [([], 0.0, *self.read(self.tokenizer.encode(words, add_special_tokens=False).ids))]
        while beginnings and len(suggestions) < n:
            new_ids, total, logits, state = beginnings.pop(0)
            ids, log_probabilities = self._log_probabilities(logits, typed, new_ids)
            for i in best_first(log_probabilities):
                extended, extended_total = [*new_ids, int(ids[i])], total + float(log_probabilities[i])
                completion = self._continue(extended, extended_total, state, typed, max_new_tokens)
                if completion.text:
                    suggestions.setdefault(completion.text, completion)
                if len(suggestions) == n:
                    break
                # Too few tokens can spell the half-typed word, so suggestions must differ in later tokens.
                if len(ids) < n and extended[-1] != self.eos_id:
                    beginnings.append((extended, extended_total, *self.read(extended[-1:], state)))
        return list(suggestions.values())

    def _continue(self, new_ids: list[int], total: float, state: State, typed: str, max_new_tokens: int) -> Completion:
        """Continue greedily.

        Args:
            new_ids: ids of the suggestion so far.
            total: sum of their log-probabilities.
            state: the state before the last of them.
        """
        new_ids = new_ids.copy()
        while new_ids[-1] != self.eos_id and len(new_ids) < max_new_tokens:
            logits, state = self.read(new_ids[-1:], state)
            ids, log_probabilities = self._log_probabilities(logits, typed, new_ids)
            best = log_probabilities.argmax()
            new_ids.append(int(ids[best]))
            total += float(log_probabilities[best])
        return Completion(clean_string(self.tokenizer.decode(new_ids, skip_special_tokens=True)), total / len(new_ids))

    def _log_probabilities(self, logits: np.ndarray, typed: str, new_ids: list[int]) -> tuple[np.ndarray, np.ndarray]:
        """Return the ids that may come next and their log-probabilities, normalised over these ids.

        Returns:
            int64 [candidates] and float32 [candidates].
        """
        ids = self.candidates(typed, tuple(new_ids))
        # Selecting all ids would cost as much as the rest of this function.
        logits = logits if ids is self.all_ids else logits[ids]
        logits = logits - logits.max()
        return ids, logits - np.log(np.exp(logits).sum())


def best_first(values: np.ndarray) -> Iterator[int]:
    """Yield the indices of values, largest first. Few are needed, and finding these is faster than sorting."""
    remaining = values.copy()
    for _ in range(len(remaining)):
        best = int(remaining.argmax())
        yield best
        remaining[best] = -np.inf
