"""Tweets per second in training: from the usual loop to the notebook's, one change after the other.

Useful operations are two per weight and token in the forward pass and twice as many in the backward pass. The output
layer counts only at targets, a sampled softmax only with the tokens of its sample. Padding, the softmax, the optimizer
and elementwise operations count nothing. The predicted gain of a change compares the operations of both loops at the
machine's peak rate, including those at padding and at masked positions.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import count

import numpy as np
import torch
from torch.nn.utils import clip_grad_norm_
from torch.utils.data import DataLoader
from transformers import PreTrainedTokenizerBase

from benchmarks.speed.reference_loop import reference_loader, reference_loss
from src.corpus.tokenization import train_tokenizer
from src.lstm_model import LSTMConfig
from src.next_token_dataset import IGNORE_INDEX, NextTokenDataset, collate_batch
from src.recipe import new_lstm
from src.training.batches import SimilarLengthSampler, unmask_context
from src.training.loss import sampled_training_loss, token_frequencies, training_loss
from src.training.train import TrainingSettings

STEPS_IN_TURN = 4
TURNS = 5


@dataclass(frozen=True)
class Loop:
    """One way to train; the defaults are the notebook's.

    Attributes:
        tokenized_once: False: a text is tokenized whenever it is read.
        similar_lengths: batches of texts of similar length; False: random batches.
        all_logits: compute the logits of padding and of masked positions too.
        fused: AdamW in one pass over the weights.
        loss_on: "target" or "all" tokens.
        num_sampled_tokens: tokens drawn for the sampled softmax; 0: the full vocabulary.
    """

    vocab_size: int = LSTMConfig.vocab_size
    embedding_dim: int = LSTMConfig.embedding_dim
    hidden_dim: int = LSTMConfig.hidden_dim
    batch_size: int = TrainingSettings.batch_size
    tokenized_once: bool = True
    similar_lengths: bool = True
    all_logits: bool = False
    fused: bool = True
    bf16: bool = True
    loss_on: str = "all"
    num_sampled_tokens: int = TrainingSettings.num_sampled_tokens


USUAL = Loop(
    vocab_size=30_522,
    hidden_dim=512,
    batch_size=256,
    tokenized_once=False,
    similar_lengths=False,
    all_logits=True,
    fused=False,
    bf16=False,
    loss_on="target",
    num_sampled_tokens=0,
)
USUAL_LOOP = "usual loop: 30,522 tokens, 256/512, batch 256"
ONE_AFTER_THE_OTHER = {
    "tokenized once": {"tokenized_once": True},
    "batches of similar length": {"similar_lengths": True},
    "output layer at targets only": {"all_logits": False},
    "AdamW in one pass": {"fused": True},
    "bf16": {"bf16": True},
    "loss on all tokens, sampled softmax": {"loss_on": "all", "num_sampled_tokens": 2_000},
    "own tokenizer, 12,000 tokens": {"vocab_size": 12_000},
    "256/640, batch 128: the notebook's": {"hidden_dim": 640, "batch_size": 128},
}


def ladder() -> dict[str, Loop]:
    """The usual loop, and the loop after each change."""
    loops = {USUAL_LOOP: USUAL}
    for change, settings in ONE_AFTER_THE_OTHER.items():
        loops[f"+ {change}"] = replace(list(loops.values())[-1], **settings)
    return loops


LADDER = ladder()
NOTEBOOK_LOOP = list(LADDER)[-1]
LAST_STEPS = "the notebook's last steps: loss on targets"
LOOPS = {
    **LADDER,
    LAST_STEPS: Loop(loss_on="target", num_sampled_tokens=0),
    "the notebook's with the full vocabulary": Loop(num_sampled_tokens=0),
    "the notebook's in float32": Loop(bf16=False),
}
# With batches of similar length the longest ones, which need most memory, are rare.
MEMORY_STEPS = {USUAL_LOOP: 20, NOTEBOOK_LOOP: 300, LAST_STEPS: 300}


class RunningLoop:
    """A model in training that counts its tokens and operations.

    Attributes:
        tokens: number of tokens without padding.
        useful, computed: number of operations, as described at the top of this module.
        tokens_per_tweet: mean over all texts.
    """

    def __init__(self, loop: Loop, texts: list[str], tokenizer: PreTrainedTokenizerBase):
        self.loop, self.tokens, self.useful, self.computed = loop, 0, 0, 0
        config = LSTMConfig(embedding_dim=loop.embedding_dim, hidden_dim=loop.hidden_dim, dropout=0.0)
        self.model = new_lstm(tokenizer, config, seed=0).train()
        self.optimizer = torch.optim.AdamW(self.model.parameters(), 2e-3, fused=loop.fused)
        dataset = NextTokenDataset(texts, tokenizer, tokenizer.eos_token_id)
        self.tokens_per_tweet = float(dataset.lengths.mean())
        self.frequencies = token_frequencies(dataset, len(tokenizer))
        if not loop.tokenized_once:
            self.batches = endless(partial(reference_loader, texts, tokenizer, loop.batch_size))
            return
        lengths = dataset.lengths if loop.similar_lengths else np.ones(len(dataset))
        sampler = SimilarLengthSampler(lengths, loop.batch_size, seed=0)
        self.batches = endless(
            lambda: DataLoader(dataset, loop.batch_size, sampler=sampler, collate_fn=collate_batch, drop_last=True)
        )

    def loss(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        loss_of = training_loss
        if self.loop.all_logits:
            loss_of = reference_loss
        elif self.loop.num_sampled_tokens:
            loss_of = partial(
                sampled_training_loss, frequencies=self.frequencies, num_samples=self.loop.num_sampled_tokens
            )
        with torch.autocast("cpu", torch.bfloat16, enabled=self.loop.bf16):
            return loss_of(self.model, batch)

    def step(self) -> None:
        batch = next(self.batches)
        if self.loop.loss_on == "all":
            batch = unmask_context(batch)
        self.loss(batch).backward()
        clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.count(batch)

    def count(self, batch: dict[str, torch.Tensor]) -> None:
        embedding_dim, hidden_dim = self.loop.embedding_dim, self.loop.hidden_dim
        recurrent = 4 * hidden_dim * (embedding_dim + hidden_dim) + hidden_dim * embedding_dim
        num_tokens, num_positions = int(batch["lengths"].sum()), batch["labels"].numel()
        targets = batch["labels"][batch["labels"] != IGNORE_INDEX]
        output = embedding_dim * self.output_rows(targets)
        num_logits = num_positions if self.loop.all_logits else len(targets)
        self.tokens += num_tokens
        self.useful += 6 * (num_tokens * recurrent + len(targets) * output)
        self.computed += 6 * (num_positions * recurrent + num_logits * output)

    def output_rows(self, targets: torch.Tensor) -> int:
        """Number of rows of the output layer that are multiplied for each target."""
        if not self.loop.num_sampled_tokens:
            return self.model.config.vocab_size
        own = targets.unique()
        probability_drawn = -torch.expm1(self.loop.num_sampled_tokens * torch.log1p(-self.frequencies))
        return len(own) + int(probability_drawn.sum() - probability_drawn[own].sum())


def endless(make: Callable[[], DataLoader]) -> Iterator:
    """The batches of one loader after another."""
    for _ in count():
        yield from make()


def training_speed(texts: list[str], limits: dict[str, float]) -> list[dict]:
    """A row for each loop; the loops take turns."""
    tokenizers = {size: train_tokenizer(texts, size) for size in {loop.vocab_size for loop in LOOPS.values()}}
    loops = {name: RunningLoop(loop, texts, tokenizers[loop.vocab_size]) for name, loop in LOOPS.items()}
    tokens_per_second: dict[str, list[float]] = {name: [] for name in loops}
    for _ in range(1 + TURNS):
        for name, loop in loops.items():
            started, tokens = time.perf_counter(), loop.tokens
            several_steps(loop)
            tokens_per_second[name].append((loop.tokens - tokens) / (time.perf_counter() - started))
    # Batches of similar length differ in length, but hardly in their time per token.
    medians = {name: float(np.median(values[1:])) for name, values in tokens_per_second.items()}
    peaks = {name: limits[f"matmul {'bfloat16' if loop.bf16 else 'float32'}, GFLOP/s"] for name, loop in LOOPS.items()}
    tweets = {name: medians[name] / loop.tokens_per_tweet for name, loop in loops.items()}
    possible = {
        name: peaks[name] / (loop.computed / loop.tokens * loop.tokens_per_tweet) for name, loop in loops.items()
    }
    useful = {name: medians[name] * loop.useful / loop.tokens / 1e9 for name, loop in loops.items()}
    before = dict(zip(list(LADDER)[1:], LADDER))
    return [
        {
            "loop": name,
            "tweets per second": round(tweets[name]),
            "times the usual loop": round(tweets[name] / tweets[USUAL_LOOP], 1),
            "predicted gain": round(possible[name] / possible[before[name]], 2) if name in before else "",
            "measured gain": round(tweets[name] / tweets[before[name]], 2) if name in before else "",
            "useful GFLOP/s": round(useful[name]),
            "share of the peak": round(useful[name] / peaks[name], 2),
        }
        for name in loops
    ]


def several_steps(loop: RunningLoop, num_steps: int = STEPS_IN_TURN) -> None:
    for _ in range(num_steps):
        loop.step()


def run_memory_steps(name: str, texts: list[str]) -> None:
    """Train for as many steps as the loop's peak memory is measured over."""
    loop = LOOPS[name]
    several_steps(RunningLoop(loop, texts, train_tokenizer(texts, loop.vocab_size)), MEMORY_STEPS[name])
