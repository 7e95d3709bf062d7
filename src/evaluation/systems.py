"""Everything that can be compared: a language model, an exported LSTM, a constant answer."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
import pandas as pd
from tqdm import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from src.completion.completer import complete
from src.completion.decoding import GREEDY, Decoding
from src.data_utils import split_x_target_by_words
from src.deploy.onnx_lstm import OnnxLSTM
from src.next_token_dataset import NextTokenDataset
from src.text.prefixes import Completion
from src.training.loss import dataset_nll

# Enough to finish the longest word that a next word is compared with.
NEXT_WORD_TOKENS = 8
NUM_NEXT_WORDS = 3


@dataclass(frozen=True)
class Pair:
    context: str
    target: str


class System(Protocol):
    """What can be evaluated: a language model with its decoding, or an answer that needs no model.

    `complete` gives the one best completion of each prefix, `next_words` the most probable next
    words of each, best first, and `likelihood` the table of `target_likelihood`, if there is one.
    """

    name: str

    def complete(self, prefixes: Sequence[str]) -> list[Completion]: ...

    def next_words(self, prefixes: Sequence[str]) -> list[list[str]]: ...

    def likelihood(self, texts: Sequence[str]) -> pd.DataFrame | None: ...


def as_pairs(texts: Sequence[str]) -> list[Pair]:
    return [Pair(*split_x_target_by_words(text)) for text in texts]


@dataclass(frozen=True, eq=False)
class ModelSystem:
    """A language model that answers with one decoding.

    Its next words are its most probable ones, whatever the decoding of the answers.
    """

    name: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    decoding: Decoding = GREEDY

    def complete(self, prefixes: Sequence[str]) -> list[Completion]:
        return [suggestions[0] for suggestions in complete(self.model, self.tokenizer, prefixes, 1, self.decoding)]

    def next_words(self, prefixes: Sequence[str]) -> list[list[str]]:
        suggestions = complete(self.model, self.tokenizer, prefixes, NUM_NEXT_WORDS, max_new_tokens=NEXT_WORD_TOKENS)
        return [[suggestion.text.split(" ")[0] for suggestion in row] for row in suggestions]

    def likelihood(self, texts: Sequence[str]) -> pd.DataFrame:
        return target_likelihood(self.model, self.tokenizer, texts)


class ConstantAnswer:
    """The same few words for every prefix, chosen for the best mean ROUGE-1 on training targets.

    Its next words are the three that most training targets begin with.

    Args:
        texts: cleaned training texts of two words or more.
        num_candidates: frequent target words to choose from.
        max_targets: training targets to choose on, the first ones.
    """

    name = "constant answer"

    def __init__(self, texts: Sequence[str], num_candidates: int = 200, max_targets: int = 20_000):
        targets = [split_x_target_by_words(text)[1].split(" ") for text in texts[:max_targets]]
        frequency = Counter(word for target in targets for word in target)
        candidates = [word for word, _ in frequency.most_common(num_candidates)]
        contains = np.array([[word in target for word in candidates] for target in map(set, targets)])
        target_lengths = np.array([len(target) for target in targets])
        chosen: list[int] = []
        best = 0.0
        while len(chosen) < len(candidates):
            # For distinct words this is ROUGE-1's F1: twice the overlap by the sum of both lengths.
            overlap = contains[:, chosen].sum(axis=1)[:, None] + contains
            mean_f1 = (2 * overlap / (len(chosen) + 1 + target_lengths)[:, None]).mean(axis=0)
            mean_f1[chosen] = -1.0
            if mean_f1.max() <= best:
                break
            best = mean_f1.max()
            chosen.append(int(mean_f1.argmax()))
        self.answer = " ".join(candidates[i] for i in chosen)

        first_words = Counter(target[0] for target in targets)
        self.most_frequent_next = [word for word, _ in first_words.most_common(3)]

    def complete(self, prefixes: Sequence[str]) -> list[Completion]:
        return [Completion(self.answer, confidence=0.0) for _ in prefixes]

    def next_words(self, prefixes: Sequence[str]) -> list[list[str]]:
        return [self.most_frequent_next for _ in prefixes]

    def likelihood(self, texts: Sequence[str]) -> None:
        """None: it has no probabilities."""


@dataclass(frozen=True, eq=False)
class OnnxSystem:
    """An `OnnxLSTM` that answers greedily, as a `src.evaluation.systems.System`."""

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


def target_likelihood(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    batch_size: int = 64,
) -> pd.DataFrame:
    """Likelihood of every text's target and its end, comparable between tokenizers.

    Returns:
        [texts] rows with columns `nll` (nats, target and end), `words` (of the target; the
        end counts as one) and `characters` (likewise), the units that the nats are spread over.
    """
    dataset = NextTokenDataset(texts, tokenizer, tokenizer.eos_token_id, context_unit="words")
    nll, _ = dataset_nll(model, dataset, batch_size, tokenizer.pad_token_id)
    return likelihood_table(texts, nll)


def likelihood_table(texts: Sequence[str], nll: np.ndarray) -> pd.DataFrame:
    """The table of `target_likelihood` from the nats of every text's target and its end, float64 [texts]."""
    targets = pd.Series([pair.target for pair in as_pairs(texts)], dtype=object)
    return pd.DataFrame({"nll": nll, "words": targets.str.count(" ") + 2, "characters": targets.str.len() + 1})


def progress(items: Sequence[str], what: str) -> tqdm:
    return tqdm(items, what, leave=False, mininterval=1, disable=len(items) < 2)
