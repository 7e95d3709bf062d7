"""Where a training step's time goes, what the Trainer adds to it, and what was tried to shorten it."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch.nn.utils import clip_grad_norm_
from torch.profiler import ProfilerActivity, profile

from benchmarks.timing import median_seconds
from benchmarks.training_speed import LOOPS, NOTEBOOK_LOOP, STEPS_IN_TURN, TURNS, RunningLoop, several_steps
from src.next_token_dataset import NextTokenDataset
from src.tokenization import train_tokenizer
from src.training import TrainingSettings, train

NOTEBOOK = LOOPS[NOTEBOOK_LOOP]
TRAINER_STEPS = 40
TOP_OPERATIONS = 12


def trainer_overhead(texts: list[str]) -> list[dict]:
    """A step of `src.training.train` by one of a bare loop over the same batches, one after the other and back."""
    tokenizer = train_tokenizer(texts, NOTEBOOK.vocab_size)
    dataset = NextTokenDataset(texts, tokenizer, tokenizer.eos_token_id)
    settings = TrainingSettings(
        max_tweets_seen=TRAINER_STEPS * NOTEBOOK.batch_size,
        batch_size=NOTEBOOK.batch_size,
        num_evaluations=1,
        all_tokens_share=1.0,
        num_sampled_tokens=NOTEBOOK.num_sampled_tokens,
        bf16=True,
    )
    bare, trained = RunningLoop(NOTEBOOK, texts, tokenizer), RunningLoop(NOTEBOOK, texts, tokenizer)
    val_dataset = NextTokenDataset(texts[:1], tokenizer, tokenizer.eos_token_id)

    def with_trainer() -> None:
        with TemporaryDirectory() as folder:
            train(trained.model, dataset, val_dataset, settings, Path(folder) / "checkpoints", tokenizer.pad_token_id)
        trained.model.train()

    def bare_loop() -> None:
        for _ in range(TRAINER_STEPS):
            bare.step()

    seconds = median_seconds({"bare loop": bare_loop, "Trainer": with_trainer}, turns=3)
    return [
        {
            "loop": name,
            "ms per step": round(1e3 * value / TRAINER_STEPS, 1),
            "more than bare": f"{value / seconds['bare loop'] - 1:.1%}",
        }
        for name, value in seconds.items()
    ]


def step_profile(texts: list[str]) -> list[dict]:
    """The operations that take most of a step's processor time: of the usual loop, then of the notebook's."""
    rows = []
    for name, loop in {"usual": next(iter(LOOPS.values())), "ours": NOTEBOOK}.items():
        running = RunningLoop(loop, texts, train_tokenizer(texts, loop.vocab_size))
        several_steps(running)
        with profile(activities=[ProfilerActivity.CPU]) as profiler:
            several_steps(running)
        events = sorted(profiler.key_averages(), key=lambda event: -event.self_cpu_time_total)
        total = sum(event.self_cpu_time_total for event in events)
        rows += [
            {
                "loop": name,
                "operation": event.key,
                "ms per step": round(event.self_cpu_time_total / 1e3 / STEPS_IN_TURN, 1),
                "share": f"{event.self_cpu_time_total / total:.0%}",
            }
            for event in events[:TOP_OPERATIONS]
        ]
    return rows


def tried_options(texts: list[str]) -> list[dict]:
    """Each option on its own against the notebook's loop, all taking turns."""
    tokenizer = train_tokenizer(texts, NOTEBOOK.vocab_size)
    loops: dict[str, RunningLoop] = {
        "as it is": RunningLoop(NOTEBOOK, texts, tokenizer),
        "float32": RunningLoop(replace(NOTEBOOK, bf16=False), texts, tokenizer),
        "whole vocabulary": RunningLoop(replace(NOTEBOOK, num_sampled_tokens=0), texts, tokenizer),
        "AdamW one parameter at a time": with_optimizer(RunningLoop(NOTEBOOK, texts, tokenizer), foreach=False),
        "AdamW by lists of parameters": with_optimizer(RunningLoop(NOTEBOOK, texts, tokenizer), foreach=True),
        "batches at random, not of similar length": RunningLoop(
            replace(NOTEBOOK, similar_lengths=False), texts, tokenizer
        ),
        "packed, not padded": packed(RunningLoop(NOTEBOOK, texts, tokenizer)),
        "without oneDNN": RunningLoop(NOTEBOOK, texts, tokenizer),
        "torch.compile of the backbone": compiled(RunningLoop(NOTEBOOK, texts, tokenizer)),
    }
    actions: dict[str, Callable[[], object]] = {name: partial(several_steps, loop) for name, loop in loops.items()}
    actions["without oneDNN"] = partial(without_onednn, loops["without oneDNN"])
    actions["clipping one parameter at a time"] = partial(clip, loops["as it is"], False)
    actions["clipping by lists of parameters"] = partial(clip, loops["as it is"], True)
    seconds = median_seconds(actions, TURNS)
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
    """The recurrence over tokens only: with a mask the backbone packs them."""
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
    """Only the clipping, as many times as a turn has steps."""
    for parameter in loop.model.parameters():
        parameter.grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
    for _ in range(STEPS_IN_TURN):
        clip_grad_norm_(loop.model.parameters(), 1.0, foreach=foreach)
