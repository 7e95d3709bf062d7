"""A profile of the training step, the time that the Trainer adds to it, and options tried to shorten it."""

import time
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import numpy as np
import torch
from torch.nn.utils import clip_grad_norm_

from benchmarks.speed.timing import median_seconds, operation_times
from benchmarks.speed.training import LOOPS, NOTEBOOK_LOOP, STEPS_IN_TURN, USUAL, RunningLoop, several_steps
from src.corpus.tokenization import train_tokenizer
from src.next_token_dataset import NextTokenDataset
from src.training.train import TrainingSettings, train
from src.training.trainer import TargetLossTrainer

NOTEBOOK = LOOPS[NOTEBOOK_LOOP]
TRAINER_STEPS = 150
WARM_UP_STEPS = 10
TOP_OPERATIONS = 12


def trainer_overhead(texts: list[str]) -> list[dict]:
    """The time of a step of `train` and of a bare loop; they take turns step by step."""
    tokenizer = train_tokenizer(texts, NOTEBOOK.vocab_size)
    dataset = NextTokenDataset(texts, tokenizer, tokenizer.eos_token_id)
    settings = TrainingSettings(
        learning_rate=2e-3,
        muon_learning_rate=0.0,
        max_tweets_seen=TRAINER_STEPS * NOTEBOOK.batch_size,
        batch_size=NOTEBOOK.batch_size,
        eval_steps=TRAINER_STEPS,
        all_tokens_share=1.0,
        num_sampled_tokens=NOTEBOOK.num_sampled_tokens,
        bf16=True,
    )
    bare, trained = RunningLoop(NOTEBOOK, texts, tokenizer), RunningLoop(NOTEBOOK, texts, tokenizer)
    val_dataset = NextTokenDataset(texts[:1], tokenizer, tokenizer.eos_token_id)
    compute_loss = TargetLossTrainer.compute_loss
    # When a step starts, and when the bare loop has made its own step.
    started, resumed = [], []

    def after_a_bare_step(*args, **kwargs) -> torch.Tensor:
        started.append(time.perf_counter())
        bare.step()
        resumed.append(time.perf_counter())
        return compute_loss(*args, **kwargs)

    with TemporaryDirectory() as folder, patch.object(TargetLossTrainer, "compute_loss", after_a_bare_step):
        train(trained.model, dataset, val_dataset, settings, Path(folder) / "checkpoints", tokenizer.pad_token_id)
    in_bare_loop = np.subtract(resumed, started)[WARM_UP_STEPS:-1]
    in_trainer = np.subtract(started[1:], resumed[:-1])[WARM_UP_STEPS:]
    more = np.median(in_trainer / in_bare_loop) - 1
    return [
        {"loop": "bare loop", "ms per step": round(1e3 * float(np.median(in_bare_loop)), 1), "more than bare": ""},
        {
            "loop": "Trainer",
            "ms per step": round(1e3 * float(np.median(in_trainer)), 1),
            "more than bare": f"{more:.1%}",
        },
    ]


def step_profile(texts: list[str]) -> list[dict]:
    """The operations that take most of the processor time of a step, in the usual loop and in the notebook's."""
    rows = []
    for name, loop in {"usual": USUAL, "ours": NOTEBOOK}.items():
        running = RunningLoop(loop, texts, train_tokenizer(texts, loop.vocab_size))
        several_steps(running)
        times = operation_times(partial(several_steps, running), STEPS_IN_TURN)
        total = sum(times.values())
        rows += [
            {"loop": name, "operation": operation, "ms per step": round(value, 1), "share": f"{value / total:.0%}"}
            for operation, value in islice(times.items(), TOP_OPERATIONS)
        ]
    return rows


def tried_options(texts: list[str]) -> list[dict]:
    """The time of a step with each option alone and without any; they take turns."""
    tokenizer = train_tokenizer(texts, NOTEBOOK.vocab_size)
    loops: dict[str, RunningLoop] = {
        "as it is": RunningLoop(NOTEBOOK, texts, tokenizer),
        "AdamW one parameter at a time": with_optimizer(RunningLoop(NOTEBOOK, texts, tokenizer), foreach=False),
        "AdamW by lists of parameters": with_optimizer(RunningLoop(NOTEBOOK, texts, tokenizer), foreach=True),
        "packed, not padded": packed(RunningLoop(NOTEBOOK, texts, tokenizer)),
        "without oneDNN": RunningLoop(NOTEBOOK, texts, tokenizer),
        "torch.compile of the backbone": compiled(RunningLoop(NOTEBOOK, texts, tokenizer)),
    }
    actions: dict[str, Callable[[], object]] = {name: partial(several_steps, loop) for name, loop in loops.items()}
    actions["without oneDNN"] = partial(without_onednn, loops["without oneDNN"])
    actions["clipping one parameter at a time"] = partial(clip, loops["as it is"], False)
    actions["clipping by lists of parameters"] = partial(clip, loops["as it is"], True)
    seconds = median_seconds(actions, turns=3)
    return [
        {
            "option": name,
            "ms per step": round(1e3 * value / STEPS_IN_TURN, 1),
            "times as it is": round(value / seconds["as it is"], 2),
        }
        for name, value in seconds.items()
    ]


def with_optimizer(loop: RunningLoop, foreach: bool) -> RunningLoop:
    loop.optimizer = torch.optim.AdamW(loop.model.parameters(), 2e-3, foreach=foreach)
    return loop


def packed(loop: RunningLoop) -> RunningLoop:
    """The recurrence over tokens only: given a mask, the backbone packs them."""
    backbone = loop.model.backbone
    forward = backbone.forward
    backbone.forward = lambda input_ids: forward(input_ids, (input_ids != backbone.config.pad_token_id).long())
    return loop


def compiled(loop: RunningLoop) -> RunningLoop:
    loop.model.backbone = torch.compile(loop.model.backbone, dynamic=True)
    return loop


def without_onednn(loop: RunningLoop) -> None:
    with torch.backends.mkldnn.flags(enabled=False):
        several_steps(loop)


def clip(loop: RunningLoop, foreach: bool) -> None:
    """Clip the gradients, and nothing else, once for each step of a turn."""
    for parameter in loop.model.parameters():
        parameter.grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
    for _ in range(STEPS_IN_TURN):
        clip_grad_norm_(loop.model.parameters(), 1.0, foreach=foreach)
