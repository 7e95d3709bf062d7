"""Batches for training: texts of similar length share a batch, and the mask over the context can be removed."""

from collections.abc import Iterator

import numpy as np
import torch
from torch.utils.data import Sampler


class SimilarLengthSampler(Sampler[int]):
    """Indices in random order, such that each batch holds texts of similar length and few pads.

    Texts are drawn at random into pools of `pool_batches` batches. A pool is sorted by length, ties in
    random order, and cut into batches, which come in random order. transformers' `group_by_length`
    leaves the batches of a pool sorted.

    Args:
        lengths: int [texts], number of tokens of each text.
        batch_size: number of texts per batch.
        seed: the order of an epoch depends on the seed and the number of the epoch only.
        pool_batches: number of batches in a pool. More mean fewer pads, but batches of more similar texts.
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
        # Only the last batch may be incomplete, so its texts are drawn first.
        rest, order = np.split(order, [len(order) % self.batch_size])
        for start in range(0, len(order), self.pool_size):
            pool = order[start : start + self.pool_size]
            pool = pool[np.argsort(self.lengths[pool], kind="stable")].reshape(-1, self.batch_size)
            yield from rng.permutation(pool).flatten().tolist()
        yield from rest.tolist()


def unmask_context(batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Make every token of a batch of `collate_batch` a target, except the first of its row."""
    input_ids, lengths = batch["input_ids"], batch["lengths"]
    positions = torch.arange(input_ids.shape[1], device=input_ids.device)
    next_ids = torch.cat([input_ids[:, 1:], batch["labels"][:, -1:]], dim=1)
    # The last label of a row is its end, which is never masked.
    labels = torch.where(positions < lengths[:, None] - 1, next_ids, batch["labels"])
    return {**batch, "labels": labels}
