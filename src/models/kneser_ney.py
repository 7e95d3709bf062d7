"""An n-gram language model with transformers' interface, so that `generate` can sample and search with it.

Interpolated Kneser-Ney smoothing (Kneser and Ney, 1995) with three discounts (Chen and Goodman,
1998) over the tokens of a tokenizer: no word is unknown and every text has a probability.

    p(token | context) = (count - discount) / total + backoff * p(token | context without its first token)

N-grams are numbered from 1, shorter ones first; 0 is the empty n-gram. A context is the number of
an n-gram, or -1 if that n-gram was never seen. The code of an n-gram is its context times the
vocabulary's size, plus its last token. Codes ascend with the numbers, so binary search finds an
n-gram, and all n-grams with the same context are neighbours.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn.functional import pad
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.utils import ModelOutput, can_return_tuple

from src.models.generation import CheckedGenerationMixin, next_token_loss
from src.models.inputs import check_ids, checked_mask, last_positions, refuse_unknown
from src.next_token_dataset import IGNORE_INDEX, NextTokenDataset

# Discounts for counts of 0, 1, 2, and 3 or more where a corpus is too small to estimate them (KenLM's values).
FALLBACK_DISCOUNTS = np.array([0.0, 0.5, 1.0, 1.5])


class KneserNeyConfig(PreTrainedConfig):
    """Sizes of a `KneserNeyLM`; `num_ngrams` lists the number of n-grams of each length, from 1 to the order."""

    model_type = "kneser_ney"

    vocab_size: int = 12_000
    num_ngrams: list[int] | None = None
    pad_token_id: int | None = 0
    eos_token_id: int | None = 2


@dataclass
class KneserNeyOutput(ModelOutput):
    """What a `KneserNeyLM` computes.

    Attributes:
        loss: as of `next_token_loss`, or None without labels.
        logits: float32 [batch, positions, vocab], log-probabilities of the next token.
        context: float32 [batch, positions, 2 (order - 1)], as `src.text.context_weight.ContextWeight` takes it.
    """

    loss: torch.Tensor | None = None
    logits: torch.Tensor | None = None
    context: torch.Tensor | None = None


class KneserNeyLM(PreTrainedModel, CheckedGenerationMixin):
    """Interpolated modified Kneser-Ney, counted by `from_dataset`.

    Attributes:
        codes: int64 [n-grams], in ascending order.
        shares: float32 [n-grams], discounted probability of an n-gram's last token after its context.
        backoffs: float32 [contexts + 1], the probability that each context's discounts leave for
            shorter contexts; the last entry, 1, belongs to the context -1.
    """

    config_class = KneserNeyConfig

    def __init__(self, config: KneserNeyConfig):
        super().__init__(config)
        num_ngrams = sum(config.num_ngrams)
        self.codes = nn.Parameter(torch.zeros(num_ngrams, dtype=torch.int64), requires_grad=False)
        self.shares = nn.Parameter(torch.zeros(num_ngrams), requires_grad=False)
        self.backoffs = nn.Parameter(torch.ones(2 + sum(config.num_ngrams[:-1])), requires_grad=False)
        self.post_init()

    @classmethod
    def from_dataset(
        cls, dataset: NextTokenDataset, vocab_size: int, pad_token_id: int, eos_token_id: int, order: int
    ) -> "KneserNeyLM":
        """Count n-grams of up to `order` tokens in complete texts, masked tokens too.

        Raises:
            ValueError: the order is below 1.
        """
        if order < 1:
            raise ValueError(f"order is {order}: an n-gram has at least one token")
        # Counting puts an end before every text, so one that stands there already is left out.
        starts = dataset.offsets[:-1][dataset.token_ids[dataset.offsets[:-1]] == eos_token_id]
        codes, counts = count_ngrams(np.delete(dataset.token_ids, starts), vocab_size, eos_token_id, order)
        sizes = {"vocab_size": vocab_size, "num_ngrams": [len(level) for level in counts]}
        model = cls(KneserNeyConfig(**sizes, pad_token_id=pad_token_id, eos_token_id=eos_token_id)).eval()
        shares, backoffs = estimate(codes // vocab_size, counts, len(model.backoffs))
        tables = {"codes": codes, "shares": shares, "backoffs": backoffs}
        model.load_state_dict({name: torch.from_numpy(table) for name, table in tables.items()})
        return model

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        logits_to_keep: int = 0,
        labels: torch.Tensor | None = None,
        num_items_in_batch: int | torch.Tensor | None = None,
        **kwargs,
    ) -> KneserNeyOutput:
        """Next-token log-probabilities, which serve as logits.

        Args:
            input_ids: int64 [batch, length], each row the beginning of a tweet.
            attention_mask: int64 [batch, length], 1 for a token and 0 for a pad, on either side.
            logits_to_keep: number of last positions to return; 0 returns all.
            labels, num_items_in_batch: as in `next_token_loss`.
            **kwargs: `return_dict` (False returns a tuple), and what has no effect here; `refuse_unknown` rejects
                the rest.

        Returns:
            log-probabilities, what the model knows of each context, and the loss if there are labels.

        Raises:
            ValueError: a shape, dtype or value is wrong, or an argument is not supported.
            TypeError: an argument is unknown.
        """
        refuse_unknown(kwargs)
        check_ids(input_ids)
        if attention_mask is not None:
            attention_mask = checked_mask(attention_mask, input_ids)
        contexts = self._contexts(input_ids, attention_mask)[:, last_positions(logits_to_keep)]
        logits = self._log_probabilities(contexts)
        loss = next_token_loss(logits, input_ids, labels, num_items_in_batch)
        return KneserNeyOutput(loss=loss, logits=logits, context=self._context_inputs(contexts))

    def target_log_probabilities(self, input_ids: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Log-probability of every target token; `src.training.loss` asks for it.

        Args:
            input_ids: int64 [batch, length], each row the beginning of a tweet, padded on the right.
            labels: int64 [batch, length], the token after each position, or `IGNORE_INDEX` for no target.

        Returns:
            float32 [targets], in nats, row by row.
        """
        is_target = labels != IGNORE_INDEX
        log_probabilities = self._log_probabilities(self._contexts(input_ids)[is_target])
        # The softmax corrects the rounding errors of a sum over the vocabulary.
        return log_probabilities.log_softmax(dim=-1).gather(1, labels[is_target][:, None]).flatten()

    def target_contexts(self, input_ids: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """What the model knows of every target's context: `KneserNeyOutput.context`, [targets, 2 (order - 1)].

        The arguments are those of `target_log_probabilities`.
        """
        return self._context_inputs(self._contexts(input_ids)[labels != IGNORE_INDEX])

    def _context_inputs(self, contexts: torch.Tensor) -> torch.Tensor:
        """Contexts of every length, int64 [..., order], to `KneserNeyOutput.context`."""
        longer = contexts[..., 1:].contiguous()
        _, num_followers = self._followers(longer)
        return torch.cat([self.backoffs[longer], num_followers.log1p()], dim=-1)

    def _followers(self, contexts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The index of the first n-gram that continues each context, and their number."""
        first_code = contexts * self.config.vocab_size
        first = torch.searchsorted(self.codes, first_code)
        return first, torch.searchsorted(self.codes, first_code + self.config.vocab_size) - first

    def _contexts(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None) -> torch.Tensor:
        """Contexts of the last 0 to order - 1 tokens at each position, int64 [batch, length, order]."""
        # The counts have an end token before every text. So one is put before each row, and pads are replaced by it.
        if attention_mask is not None:
            input_ids = input_ids.masked_fill(attention_mask == 0, self.config.eos_token_id)
        tokens = pad(input_ids, (1, 0), value=self.config.eos_token_id)
        contexts = [torch.zeros_like(tokens), tokens + 1]
        order = len(self.config.num_ngrams)
        while len(contexts) < order:
            codes = pad(contexts[-1][:, :-1], (1, 0), value=-1) * self.config.vocab_size + tokens
            index = torch.searchsorted(self.codes, codes)
            is_known = torch.searchsorted(self.codes, codes, right=True) > index
            contexts.append(torch.where(is_known, index + 1, -1))
        return torch.stack(contexts[:order], dim=-1)[:, 1:]

    def _log_probabilities(self, contexts: torch.Tensor) -> torch.Tensor:
        """Contexts of every length, int64 [..., order], to next-token log-probabilities, float32 [..., vocab]."""
        vocab_size = self.config.vocab_size
        rows = contexts.reshape(-1, contexts.shape[-1])
        # The probability that longer contexts leave for each context. Unigrams back off to the uniform distribution.
        weights = pad(self.backoffs[rows[:, 1:]], (0, 1), value=1.0).flip(1).cumprod(1).flip(1)
        unigrams = self.shares[:vocab_size] + self.backoffs[0] / vocab_size
        probabilities = weights[:, :1] * unigrams
        self._add_longer_ngrams(rows[:, 1:], weights[:, 1:], probabilities)
        return probabilities.log_().view(*contexts.shape[:-1], vocab_size)

    def _add_longer_ngrams(self, contexts: torch.Tensor, weights: torch.Tensor, probabilities: torch.Tensor) -> None:
        """Add to `probabilities`, [rows, vocab], the weighted shares of all n-grams that continue a context.

        `contexts` and `weights` are [rows, lengths].
        """
        vocab_size = self.config.vocab_size
        first, num_followers = self._followers(contexts.flatten())
        # For each n-gram: the index of the context it continues, its own index, and its cell of the probabilities.
        owners = torch.arange(len(first), device=contexts.device).repeat_interleave(num_followers)
        followers = torch.arange(len(owners), device=contexts.device)
        followers += (first + num_followers - num_followers.cumsum(0))[owners]
        rows = torch.arange(len(contexts), device=contexts.device)[:, None]
        cells = self.codes[followers] + ((rows - contexts) * vocab_size).flatten()[owners]
        probabilities.view(-1).index_add_(0, cells, self.shares[followers] * weights.flatten()[owners])

    def prepare_inputs_for_generation(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **kwargs
    ) -> dict:
        # There is no state: the next token depends on the last order - 1 tokens. One more gives order 1 an input, too.
        recent = slice(-len(self.config.num_ngrams), None)
        mask = None if attention_mask is None else attention_mask[:, recent]
        return {"input_ids": input_ids[:, recent], "attention_mask": mask, "logits_to_keep": 1}

    @classmethod
    def _supports_default_dynamic_cache(cls) -> bool:
        return False


def count_ngrams(
    token_ids: np.ndarray, vocab_size: int, eos_id: int, order: int
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Codes of all n-grams, int64 [n-grams], and the counts of each length up to `order`, int64 too.

    Every text starts after the end of the one before; no n-gram continues past an end. The longest
    n-grams count as often as they occur, shorter ones once for every distinct token before them.
    At the start of a text, where nothing comes before, they count as often as they occur, too
    (Heafield et al., 2013).

    Args:
        token_ids: int [tokens], texts that each end with `eos_id`.
        order: length of the longest n-grams.
    """
    tokens = np.concatenate([[eos_id], token_ids]).astype(np.int64)
    codes, counts = [np.arange(vocab_size)], [np.bincount(tokens[1:], minlength=vocab_size)]
    # Number of the n-gram that ends with each token; -1 where it would begin before its text.
    numbers, first_number = tokens + 1, 1
    for length in range(2, order + 1):
        contexts = numbers[:-1] if length == 2 else np.where(tokens[:-1] == eos_id, -1, numbers[:-1])
        ends = np.flatnonzero(contexts >= 0) + 1
        level_codes, examples, places, occurrences = np.unique(
            contexts[ends - 1] * vocab_size + tokens[ends], return_index=True, return_inverse=True, return_counts=True
        )
        num_before = np.bincount(numbers[ends[examples]] - first_number, minlength=len(counts[-1]))
        counts[-1] = np.where(num_before > 0, num_before, counts[-1])
        first_number += len(counts[-1])
        numbers = np.full(len(tokens), -1)
        numbers[ends] = first_number + places
        codes.append(level_codes)
        counts.append(occurrences)
    return np.concatenate(codes), counts


def modified_discounts(counts: np.ndarray) -> np.ndarray:
    """Discounts for counts of 0, 1, 2, and 3 or more, float64 [4] (Chen and Goodman, 1998).

    `FALLBACK_DISCOUNTS` if no n-gram has one of the counts 1 to 4, or a discount would not be positive.
    """
    n1, n2, n3, n4 = np.bincount(np.minimum(counts, 5), minlength=5)[1:5]
    if min(n1, n2, n3, n4) == 0:
        return FALLBACK_DISCOUNTS
    y = n1 / (n1 + 2 * n2)
    discounts = np.array([0.0, 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3])
    return discounts if discounts[1:].min() > 0 else FALLBACK_DISCOUNTS


def estimate(contexts: np.ndarray, counts: list[np.ndarray], num_backoffs: int) -> tuple[np.ndarray, np.ndarray]:
    """`shares` and `backoffs` of a `KneserNeyLM`, float64.

    Args:
        contexts: int64 [n-grams], the context of every n-gram.
        counts: one int64 array per length, as `count_ngrams` returns them.
        num_backoffs: length of `backoffs`.
    """
    discounts = np.concatenate([modified_discounts(level)[np.minimum(level, 3)] for level in counts])
    counts = np.concatenate(counts)
    totals = np.bincount(contexts, counts, minlength=num_backoffs)
    left = np.bincount(contexts, discounts, minlength=num_backoffs)
    backoffs = np.divide(left, totals, out=np.ones(num_backoffs), where=totals > 0)
    return (counts - discounts) / np.maximum(totals, 1)[contexts], backoffs
