"""Everything that can be compared: a language model, an exported LSTM, a constant answer."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
import pandas as pd
from tqdm import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from src.completion.completer import Completer
from src.completion.decoding import GREEDY, WORDS, Decoding
from src.data_utils import split_x_target_by_words
from src.deploy.onnx_lstm import OnnxLSTM
from src.next_token_dataset import NextTokenDataset
from src.text.prefixes import Completion, TweetCompleter
from src.training.loss import dataset_nll

# Enough tokens to finish the longest next word.
NEXT_WORD_TOKENS = 8
NUM_NEXT_WORDS = 3


@dataclass(frozen=True)
class Pair:
    """A cleaned text, cut into what a system sees and what it should answer."""

    context: str
    target: str


class System(Protocol):
    """What can be evaluated.

    `complete` returns the best completion of each prefix. `next_words` returns the most probable
    next words of each prefix, best first. `likelihood` returns the table of `target_likelihood`,
    or None if the system has no probabilities.
    """

    @property
    def name(self) -> str: ...

    def complete(self, prefixes: Sequence[str]) -> list[Completion]: ...

    def next_words(self, prefixes: Sequence[str]) -> list[list[str]]: ...

    def likelihood(self, texts: Sequence[str]) -> pd.DataFrame | None: ...


def as_pairs(texts: Sequence[str]) -> list[Pair]:
    """Split cleaned texts into context and target."""
    return [Pair(*split_x_target_by_words(text)) for text in texts]


def best_completions(completer: TweetCompleter, prefixes: Sequence[str]) -> list[Completion]:
    """The best completion of each prefix."""
    return [suggestions[0] for suggestions in completer.complete(prefixes)]


def first_words(completer: TweetCompleter, prefixes: Sequence[str]) -> list[list[str]]:
    """The first words of the best suggestions for each prefix, best first."""
    completions = completer.complete(prefixes, NUM_NEXT_WORDS, max_new_tokens=NEXT_WORD_TOKENS)
    return [[suggestion.text.split(" ")[0] for suggestion in suggestions] for suggestions in completions]


@dataclass(frozen=True, eq=False)
class ModelSystem:
    """A language model that answers with one decoding.

    Its next words are always the most probable ones, whichever decoding it answers with.
    """

    name: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    decoding: Decoding = GREEDY

    def complete(self, prefixes: Sequence[str]) -> list[Completion]:
        return best_completions(Completer(self.model, self.tokenizer, self.decoding), prefixes)

    def next_words(self, prefixes: Sequence[str]) -> list[list[str]]:
        return first_words(Completer(self.model, self.tokenizer, WORDS), prefixes)

    def likelihood(self, texts: Sequence[str]) -> pd.DataFrame:
        return target_likelihood(self.model, self.tokenizer, texts)


class ConstantAnswer:
    """A baseline that gives every prefix the same answer, chosen for the best mean ROUGE-1 on training targets.

    The answer grows by the best word until no word improves it. The baseline's next words are the
    three most frequent first words of the training targets.

    Args:
        texts: cleaned training texts of at least two words.
        num_candidates: number of the most frequent target words to choose from.
        max_targets: number of training targets to choose on; the first ones are used.
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
            # The ROUGE-1 F1 of an answer of distinct words: twice the overlap, divided by the sum of both lengths.
            overlap = contains[:, chosen].sum(axis=1)[:, None] + contains
            mean_f1 = (2 * overlap / (len(chosen) + 1 + target_lengths)[:, None]).mean(axis=0)
            mean_f1[chosen] = -1.0
            if mean_f1.max() <= best:
                break
            best = mean_f1.max()
            chosen.append(int(mean_f1.argmax()))
        self.answer = " ".join(candidates[i] for i in chosen)

        next_words = Counter(target[0] for target in targets)
        self.most_frequent_next = [word for word, _ in next_words.most_common(NUM_NEXT_WORDS)]

    def complete(self, prefixes: Sequence[str]) -> list[Completion]:
        return [Completion(self.answer, confidence=0.0) for _ in prefixes]

    def next_words(self, prefixes: Sequence[str]) -> list[list[str]]:
        return [self.most_frequent_next for _ in prefixes]

    def likelihood(self, texts: Sequence[str]) -> None:
        """Return None, because a constant answer has no probabilities."""


@dataclass(frozen=True, eq=False)
class OnnxSystem:
    """An LSTM exported to ONNX, alone or with n-grams."""

    name: str
    model: OnnxLSTM
    decoding: ClassVar[Decoding] = WORDS

    def complete(self, prefixes: Sequence[str]) -> list[Completion]:
        return [best_completions(self.model, [prefix])[0] for prefix in progress(prefixes, "completing")]

    def next_words(self, prefixes: Sequence[str]) -> list[list[str]]:
        return [first_words(self.model, [prefix])[0] for prefix in progress(prefixes, "completing")]

    def likelihood(self, texts: Sequence[str]) -> pd.DataFrame:
        return likelihood_table(texts, np.array([self._target_nll(text) for text in progress(texts, "scoring")]))

    def _target_nll(self, text: str) -> float:
        """Negative log-likelihood of a text's target and its end, in nats."""
        [pair] = as_pairs([text])
        context_ids, text_ids = (
            self.model.tokenizer.encode(string, add_special_tokens=False).ids for string in (pair.context, text)
        )
        read = (*self.model.bos_ids, *context_ids)
        logits, state = self.model.read(np.array([read]))
        nll = 0.0
        for token in [*text_ids[len(context_ids) :], self.model.eos_id]:
            nll -= np.log(self.model.probabilities([read], logits)[0, token])
            logits, state = self.model.read(np.array([[token]]), state)
            read = (*read, token)
        return float(nll)


def target_likelihood(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    batch_size: int = 64,
) -> pd.DataFrame:
    """The likelihood of every text's target and its end, in units that do not depend on the tokenizer.

    Returns:
        [texts] rows with columns `nll` (nats), and `words` and `characters` of the target, where
        the end of the text counts as one word and as one character.
    """
    dataset = NextTokenDataset(
        texts, tokenizer, tokenizer.eos_token_id, context_unit="words", bos_id=tokenizer.bos_token_id
    )
    nll, _ = dataset_nll(model, dataset, batch_size, tokenizer.pad_token_id)
    return likelihood_table(texts, nll)


def likelihood_table(texts: Sequence[str], nll: np.ndarray) -> pd.DataFrame:
    """Make the table of `target_likelihood`.

    Args:
        nll: negative log-likelihood of every text's target and its end, float64 [texts], nats.
    """
    targets = pd.Series([pair.target for pair in as_pairs(texts)], dtype=object)
    return pd.DataFrame({"nll": nll, "words": targets.str.count(" ") + 2, "characters": targets.str.len() + 1})


def progress(items: Sequence[str], what: str) -> tqdm:
    return tqdm(items, what, leave=False, mininterval=1, disable=len(items) < 2)
