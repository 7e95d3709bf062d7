"""An exported LSTM on the road of every other system: the same pairs, the same scores."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from tqdm import tqdm

from src.decoding import Decoding
from src.evaluation import NEXT_WORD_TOKENS, NUM_NEXT_WORDS, as_pairs, likelihood_table
from src.onnx_lstm import OnnxLSTM
from src.prefixes import Completion


@dataclass(frozen=True, eq=False)
class OnnxSystem:
    """An `OnnxLSTM` that answers greedily, as a `src.evaluation.System`."""

    name: str
    model: OnnxLSTM
    decoding: ClassVar[Decoding] = Decoding("greedy")

    def complete(self, prefixes: Sequence[str]) -> list[Completion]:
        return [self.model.complete([prefix])[0][0] for prefix in progress(prefixes, "completing")]

    def next_words(self, prefixes: Sequence[str]) -> list[list[str]]:
        suggestions = [
            self.model.complete([prefix], NUM_NEXT_WORDS, max_new_tokens=NEXT_WORD_TOKENS)[0]
            for prefix in progress(prefixes, "completing")
        ]
        return [[suggestion.text.split(" ")[0] for suggestion in row] for row in suggestions]

    def likelihood(self, texts: Sequence[str]) -> pd.DataFrame:
        return likelihood_table(texts, np.array([self._target_nll(text) for text in progress(texts, "scoring")]))

    def _target_nll(self, text: str) -> float:
        """Nats of a text's target and its end, token by token."""
        [pair] = as_pairs([text])
        context, whole = (
            self.model.tokenizer.encode(part, add_special_tokens=False).ids for part in (pair.context, text)
        )
        scores, state = self.model.read(context)
        nll = 0.0
        for token in [*whole[len(context) :], self.model.eos_id]:
            nll += np.logaddexp.reduce(scores) - scores[token]
            scores, state = self.model.read([token], state)
        return float(nll)


def progress(items: Sequence[str], what: str) -> tqdm:
    return tqdm(items, what, leave=False, mininterval=1, disable=len(items) < 2)
