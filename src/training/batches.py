"""Batches for training: texts of similar length together, and the mask over the context taken off."""

from collections.abc import Iterator

import numpy as np
import torch
from torch.utils.data import Sampler


class SimilarLengthSampler(Sampler[int]):
    """Indices in random order, every `batch_size` of them of texts of similar length, so that few are padded.

    In pools of some batches, drawn at random, texts are sorted by length, ties at random, and cut into
    batches; the batches of a pool come in random order. (Those of transformers' "group_by_length"
    come in the order of their lengths.)

    Args:
        lengths: int [texts].
        seed: an epoch's order depends on it and on the number of the epoch alone.
        pool_batches: in a pool; the more, the fewer pads, and the less a batch is like the whole.
    """

    def __init__(self, lengths: np.ndarray, batch_size: int, seed: int, pool_batches: int = 50):
        self.lengths, self.batch_size, self.seed, self.epoch = lengths, batch_size, seed, 0
        self.pool_size = pool_batches * batch_size

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng((self.seed, self.epoch))
        order = rng.permutation(len(self))
        # Any batch may come last, but only the last may be incomplete.
        rest, order = np.split(order, [len(order) % self.batch_size])
        for start in range(0, len(order), self.pool_size):
            pool = order[start : start + self.pool_size]
            pool = pool[np.argsort(self.lengths[pool], kind="stable")].reshape(-1, self.batch_size)
            yield from rng.permutation(pool).flatten().tolist()
        yield from rest.tolist()


def unmask_context(batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A batch of `collate_batch` in which the tokens of the context are labels too."""
    input_ids, lengths = batch["input_ids"], batch["lengths"]
    positions = torch.arange(input_ids.shape[1], device=input_ids.device)
    next_ids = torch.cat([input_ids[:, 1:], batch["labels"][:, -1:]], dim=1)
    # The last label of a row is its end, which is never masked.
    labels = torch.where(positions < lengths[:, None] - 1, next_ids, batch["labels"])
    return {**batch, "labels": labels}
