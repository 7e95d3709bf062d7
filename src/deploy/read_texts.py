"""Keep what a model has read of the texts that are being typed, so that a keystroke reads little again."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from src.text.word_search import TokenPath

State = tuple[np.ndarray, np.ndarray]
# Each takes 53 KB with 12,000 tokens.
MAX_TEXTS = 256


class TokenReader(Protocol):
    """The two methods of `OnnxLSTM` that `ReadTexts` needs."""

    def read(self, input_ids: np.ndarray, state: State | None = None) -> tuple[np.ndarray, State]: ...

    def probabilities(self, texts: Sequence[tuple[int, ...]], logits: np.ndarray) -> np.ndarray: ...


class ReadTexts:
    """What a model has read: the next token's probabilities and the state after each of the last texts.

    Args:
        model: reads tokens, and tells the probabilities of the next ones.
    """

    def __init__(self, model: TokenReader):
        self.model = model
        self.texts: dict[tuple[int, ...], tuple[np.ndarray, State]] = {}

    def __contains__(self, token_ids: tuple[int, ...]) -> bool:
        return token_ids in self.texts

    def read_prompt(self, token_ids: tuple[int, ...]) -> np.ndarray:
        """Read a text, but not again its longest known beginning; float32 [vocab]."""
        known = next((end for end in range(len(token_ids), 0, -1) if token_ids[:end] in self.texts), 0)
        if known < len(token_ids):
            state = self._recall(token_ids[:known])[1] if known else None
            self._keep([token_ids], *self.model.read(np.array([token_ids[known:]], dtype=np.int64), state))
        return self._recall(token_ids)[0]

    def read_next(self, texts: Sequence[tuple[int, ...]]) -> list[np.ndarray]:
        """Read texts that are known but for their last token; float32 [vocab] each."""
        new = [text for text in texts if text not in self.texts]
        if new:
            states = [self._recall(text[:-1])[1] for text in new]
            state = tuple(np.concatenate(rows, axis=1) for rows in zip(*states))
            last_tokens = np.array([[text[-1]] for text in new], dtype=np.int64)
            self._keep(new, *self.model.read(last_tokens, state))
        return [self._recall(text)[0] for text in texts]

    def forget(self) -> None:
        """Keep only the texts that were used last."""
        while len(self.texts) > MAX_TEXTS:
            del self.texts[next(iter(self.texts))]

    def _keep(self, texts: Sequence[tuple[int, ...]], logits: np.ndarray, state: State) -> None:
        for row, (text, probabilities) in enumerate(zip(texts, self.model.probabilities(texts, logits))):
            # A copy, so that texts which are forgotten are not kept by one of their batch that is not.
            self.texts[text] = probabilities.copy(), tuple(tensor[:, row : row + 1] for tensor in state)

    def _recall(self, text: tuple[int, ...]) -> tuple[np.ndarray, State]:
        # Moved to the end of the dict, so the text that was used last is forgotten last.
        self.texts[text] = self.texts.pop(text)
        return self.texts[text]


class TextReader:
    """Reads one prompt and what comes after it: a `src.text.word_search.Reader`."""

    def __init__(self, texts: ReadTexts, prompt: tuple[int, ...]):
        self.texts, self.prompt = texts, prompt

    def knows(self, path: TokenPath) -> bool:
        return (*self.prompt, *path.token_ids) in self.texts

    def read(self, paths: Sequence[TokenPath]) -> list[np.ndarray]:
        if not paths[0].token_ids:
            return [self.texts.read_prompt(self.prompt)]
        return self.texts.read_next([(*self.prompt, *path.token_ids) for path in paths])
