"""Tweets a second in training: the usual loop, ours, and what each of its parts brings.

Useful operations: two for every weight and token in the forward pass, twice as many in the backward
pass. Of the output layer only the rows of targets count, and of a sampled softmax only the tokens in
the sample; pads, the softmax, the optimizer and everything element by element count nothing.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import count

import numpy as np
import torch
from torch.nn.utils import clip_grad_norm_
from torch.utils.data import DataLoader
from transformers import PreTrainedTokenizerBase

from benchmarks.reference_loop import reference_loader, reference_loss
from benchmarks.timing import median_seconds, peak_megabytes
from src.loss import sampled_training_loss, token_frequencies, training_loss
from src.lstm_model import LSTMLM, LSTMConfig
from src.next_token_dataset import (
    IGNORE_INDEX,
    NextTokenDataset,
    SimilarLengthSampler,
    collate_batch,
    unmask_context,
)
from src.tokenization import train_tokenizer

STEPS_IN_TURN = 5
TURNS = 5


@dataclass(frozen=True)
class Loop:
    """One way to train; each differs from another in one thing.

    Attributes:
        reference: the usual recipe of `benchmarks.reference_loop`.
        loss_on: "target" or "all" tokens.
        similar_lengths: batches of texts of similar length, not at random.
    """

    vocab_size: int = 12_000
    embedding_dim: int = 256
    hidden_dim: int = 640
    batch_size: int = 128
    reference: bool = False
    loss_on: str = "target"
    bf16: bool = False
    num_sampled_tokens: int = 0
    similar_lengths: bool = True


REFERENCE = Loop(vocab_size=30_522, hidden_dim=512, batch_size=256, reference=True)
SAME_SIZES = replace(REFERENCE, reference=False)
OWN_TOKENIZER = replace(SAME_SIZES, vocab_size=12_000)
NOTEBOOK_LOOP = "the notebook's, all tokens, sampled softmax"
LOOPS = {
    "usual loop: 30,522 pieces, 256/512, batch 256": REFERENCE,
    "ours, same pieces and sizes": SAME_SIZES,
    "ours, 12,000 pieces": OWN_TOKENIZER,
    "ours, 12,000 pieces, bf16": replace(OWN_TOKENIZER, bf16=True),
    "the notebook's: 256/640, batch 128, bf16, targets": Loop(bf16=True),
    NOTEBOOK_LOOP: Loop(bf16=True, loss_on="all", num_sampled_tokens=2_000),
    "the notebook's, all tokens, whole vocabulary": Loop(bf16=True, loss_on="all"),
}


class RunningLoop:
    """A model in training, some steps at a time, that counts its tweets and its useful operations."""

    def __init__(self, loop: Loop, texts: list[str], tokenizer: PreTrainedTokenizerBase):
        self.loop, self.tweets, self.operations = loop, 0, 0
        torch.manual_seed(0)
        sizes = {"embedding_dim": loop.embedding_dim, "hidden_dim": loop.hidden_dim, "dropout": 0.0}
        self.model = LSTMLM(LSTMConfig(vocab_size=len(tokenizer), **sizes)).train()
        self.optimizer = torch.optim.AdamW(self.model.parameters(), 2e-3, fused=not loop.reference)
        if loop.reference:
            self.batches = endless(partial(reference_loader, texts, tokenizer, loop.batch_size))
            return
        dataset = NextTokenDataset(texts, tokenizer, tokenizer.eos_token_id)
        self.frequencies = token_frequencies(dataset, len(tokenizer))
        lengths = dataset.lengths if loop.similar_lengths else np.ones(len(dataset))
        sampler = SimilarLengthSampler(lengths, loop.batch_size, seed=0)
        self.batches = endless(
            lambda: DataLoader(dataset, loop.batch_size, sampler=sampler, collate_fn=collate_batch, drop_last=True)
        )

    def loss(self) -> tuple[torch.Tensor, torch.Tensor, int]:
        """The loss of the next batch, its labels, and its number of tokens."""
        if self.loop.reference:
            input_ids, labels = next(self.batches)
            return reference_loss(self.model, input_ids, labels), labels, int((input_ids != 0).sum())
        batch = next(self.batches)
        if self.loop.loss_on == "all":
            batch = unmask_context(batch)
        loss_of = training_loss
        if self.loop.num_sampled_tokens:
            loss_of = partial(
                sampled_training_loss, frequencies=self.frequencies, num_samples=self.loop.num_sampled_tokens
            )
        with torch.autocast("cpu", torch.bfloat16, enabled=self.loop.bf16):
            return loss_of(self.model, batch), batch["labels"], int(batch["lengths"].sum())

    def step(self) -> None:
        loss, labels, num_tokens = self.loss()
        loss.backward()
        clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.tweets += len(labels)
        targets = labels[labels != IGNORE_INDEX]
        self.operations += 6 * (num_tokens * self.recurrent_weights + len(targets) * self.output_weights(targets))

    @property
    def recurrent_weights(self) -> int:
        """Of the LSTM and its projection."""
        embedding_dim, hidden_dim = self.loop.embedding_dim, self.loop.hidden_dim
        return 4 * hidden_dim * (embedding_dim + hidden_dim) + hidden_dim * embedding_dim

    def output_weights(self, targets: torch.Tensor) -> int:
        vocab_size = self.model.config.vocab_size
        if self.loop.num_sampled_tokens:
            drawn = -torch.expm1(self.loop.num_sampled_tokens * torch.log1p(-self.frequencies)).sum()
            vocab_size = min(vocab_size, len(targets.unique()) + int(drawn))
        return self.loop.embedding_dim * vocab_size


def endless(make: Callable[[], DataLoader]) -> Iterator:
    """The batches of one loader after another."""
    for _ in count():
        yield from make()


def training_speed(texts: list[str], limits: dict[str, float]) -> list[dict]:
    """A row for each loop, the loops taking turns."""
    tokenizers = {size: train_tokenizer(texts, size) for size in {loop.vocab_size for loop in LOOPS.values()}}
    loops = {name: RunningLoop(loop, texts, tokenizers[loop.vocab_size]) for name, loop in LOOPS.items()}
    turns = {name: partial(several_steps, loop) for name, loop in loops.items()}
    seconds = median_seconds(turns, TURNS)
    num_turns = TURNS + 1
    slowest = REFERENCE.batch_size * STEPS_IN_TURN / seconds[next(iter(LOOPS))]
    rows = []
    for name, loop in loops.items():
        tweets_per_second = loop.tweets / num_turns / seconds[name]
        gflops = loop.operations / num_turns / seconds[name] / 1e9
        peak = limits[f"matmul {'bfloat16' if loop.loop.bf16 else 'float32'}, GFLOP/s"]
        rows.append(
            {
                "loop": name,
                "tweets per second": round(tweets_per_second),
                "times the usual loop": round(tweets_per_second / slowest, 1),
                "useful GFLOP/s": round(gflops),
                "share of the peak": round(gflops / peak, 2),
            }
        )
    return rows


def several_steps(loop: RunningLoop) -> None:
    for _ in range(STEPS_IN_TURN):
        loop.step()


def memory_of(name: str, texts: list[str]) -> float:
    """`peak_megabytes` of a loop, for a process of its own."""
    loop = LOOPS[name]
    running = RunningLoop(loop, texts, train_tokenizer(texts, loop.vocab_size))
    for _ in range(TURNS):
        several_steps(running)
    return peak_megabytes()
