"""Milliseconds of a suggestion of five tokens, of a keystroke, and prefixes a second in batches."""

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple
from unittest.mock import patch

import numpy as np
import torch
from torch.ao.quantization import quantize_dynamic
from transformers import PreTrainedModel

from benchmarks.speed.costs import duration
from benchmarks.speed.timing import median_seconds
from src.completion import completer as completion
from src.completion.completer import best_answers, complete
from src.completion.decoding import GREEDY, Decoding
from src.completion.prefix_memory import PrefixMemory
from src.completion.word_constraint import NewWord
from src.deploy.onnx_lstm import FILES, OnnxLSTM, Precision
from src.evaluation.systems import ModelSystem

WAYS = {
    "greedy": {"n": 1, "decoding": GREEDY},
    "3 suggestions": {"n": 3, "decoding": GREEDY},
    "MBR over 16 samples": {"n": 1, "decoding": Decoding("mbr")},
}
NUM_TOKENS = 5
TURNS = 5
PREFIXES_OF_A_TURN = 10
ROUNDS = 3
# A tenth of the full corpus.
NUM_TEST_PAIRS = 160_000


class Endless(NewWord):
    """Bars the end as well, so that every suggestion has all its tokens."""

    def __init__(self, eos_id: int, *arguments):
        super().__init__(*arguments)
        self.eos_id = eos_id

    def __call__(self, scores: torch.Tensor, *arguments) -> torch.Tensor:
        scores = super().__call__(scores, *arguments)
        scores[:, self.eos_id] = -torch.inf
        return scores


@contextmanager
def timed(*methods: tuple[object, str]) -> Iterator[list[float]]:
    """The seconds of every call of some methods."""
    seconds: list[float] = []

    def measured(call: Callable, *args, **kwargs):
        started = time.perf_counter()
        output = call(*args, **kwargs)
        seconds.append(time.perf_counter() - started)
        return output

    with ExitStack() as patches:
        for owner, name in methods:
            patches.enter_context(patch.object(owner, name, partial(measured, getattr(owner, name))))
        yield seconds


def latency(systems: list[ModelSystem], run_dir: Path, prefixes: list[str]) -> list[dict]:
    """Quantiles over prefixes, one at a time: the systems each way, and the LSTM of this run folder as exported.

    They take turns of several prefixes, as somebody who types stays with one model. The first of a turn finds
    the processor's caches filled by another. A prefix has its turn in several rounds, of which the median counts:
    what a quantile then tells of are prefixes, not what else the machine was doing.
    """
    suggest = {(s.name, way): partial(suggest_by, s, arguments) for s in systems for way, arguments in WAYS.items()}
    suggest |= {(f"LSTM, ONNX {precision}", "greedy"): suggest_by_onnx(run_dir, precision) for precision in FILES}
    times: dict[tuple[str, str], list[Seconds]] = {key: [] for key in suggest}
    for _ in range(ROUNDS):
        for start in range(0, len(prefixes), PREFIXES_OF_A_TURN):
            for key, action in suggest.items():
                times[key] += map(action, prefixes[start : start + PREFIXES_OF_A_TURN])
    return [{"model": model, "way": way, **summary(measured)} for (model, way), measured in times.items()]


class Seconds(NamedTuple):
    """Of one suggestion."""

    whole: float
    in_model: float
    in_tokenizer: float


def summary(times: list[Seconds]) -> dict[str, float | str]:
    whole, in_model, in_tokenizer = np.median(np.reshape(times, (ROUNDS, -1, 3)), axis=0).T
    return {
        **quantiles(whole),
        "first of a turn, p50 ms": quantiles(whole[::PREFIXES_OF_A_TURN])["p50 ms"],
        "in the model": f"{np.median(in_model / whole):.0%}",
        "in the tokenizer": f"{np.median(in_tokenizer / whole):.0%}",
    }


def suggest_by(system: ModelSystem, arguments: dict, prefix: str) -> Seconds:
    model, tokenizer = system.model, system.tokenizer
    endless = patch.object(completion, "NewWord", partial(Endless, tokenizer.eos_token_id))
    tokenizing = timed((completion, "encode"), (tokenizer, "batch_decode"))
    with endless, timed((model, "forward")) as in_model, tokenizing as in_tokenizer:
        started = time.perf_counter()
        completion.complete(model, tokenizer, [prefix], max_new_tokens=NUM_TOKENS, **arguments)
        return Seconds(time.perf_counter() - started, sum(in_model), sum(in_tokenizer))


def suggest_by_onnx(run_dir: Path, precision: Precision) -> Callable[[str], Seconds]:
    model = OnnxLSTM(run_dir, precision)
    # No suggestion ends before its last token.
    model.eos_id = None
    # Methods of the tokenizer itself can't be replaced.
    model.tokenizer = SimpleNamespace(encode=model.tokenizer.encode, decode=model.tokenizer.decode)

    def suggest(prefix: str) -> Seconds:
        tokenizing = timed((model.tokenizer, "encode"), (model.tokenizer, "decode"))
        with timed((model, "read")) as in_model, tokenizing as in_tokenizer:
            started = time.perf_counter()
            model.complete([prefix], max_new_tokens=NUM_TOKENS)
            return Seconds(time.perf_counter() - started, sum(in_model), sum(in_tokenizer))

    return suggest


def tried_options(lstm: ModelSystem, prefixes: list[str]) -> list[dict]:
    """Each option on its own against the LSTM's greedy suggestion as it is, taking turns."""
    with warnings.catch_warnings():
        # It is to move to another package; the int8 that this project offers is that of onnxruntime.
        warnings.simplefilter("ignore")
        int8_layers = quantize_dynamic(deepcopy(lstm.model), {torch.nn.Linear}, dtype=torch.qint8)

    def suggest(model: PreTrainedModel, in_mode: Callable = complete) -> None:
        for prefix in prefixes:
            in_mode(model, lstm.tokenizer, [prefix], max_new_tokens=NUM_TOKENS)

    actions = {
        "as it is": partial(suggest, lstm.model),
        "no_grad, not inference_mode": partial(suggest, lstm.model, torch.no_grad()(complete.__wrapped__)),
        "linear layers in int8": partial(suggest, int8_layers),
    }
    seconds = median_seconds(actions, TURNS)
    return [
        {
            "option": name,
            "ms": round(1e3 * value / len(prefixes), 2),
            "times as it is": round(value / seconds["as it is"], 2),
        }
        for name, value in seconds.items()
    ]


def quantiles(seconds: list[float]) -> dict[str, float]:
    return {f"p{q} ms": round(1e3 * float(np.quantile(seconds, q / 100)), 2) for q in (50, 90, 99)}


def keystrokes(systems: list[ModelSystem], texts: list[str]) -> list[dict]:
    """Of texts typed letter by letter: the time of the greedy suggestion after each letter, with and without memory."""
    rows = []
    for system in systems:
        model, tokenizer = system.model, system.tokenizer
        seconds: dict[str, list[float]] = {"from the start": [], "with memory": []}
        for text in texts:
            memory = PrefixMemory(model)
            for end in range(text.index(" ") + 2, len(text) + 1):
                for name, kept in {"from the start": None, "with memory": memory}.items():
                    started = time.perf_counter()
                    complete(model, tokenizer, [text[:end]], half_typed=True, max_new_tokens=NUM_TOKENS, memory=kept)
                    seconds[name].append(time.perf_counter() - started)
        rows += [{"model": system.name, "keystroke": name, **quantiles(values)} for name, values in seconds.items()]
    return rows


def throughput(systems: list[ModelSystem], prefixes: list[str]) -> list[dict]:
    """Prefixes a second in batches, greedy, each ending where the model ends it."""
    rows = []
    for system in systems:
        some = prefixes if system.name == "LSTM" else prefixes[: len(prefixes) // 8]
        started = time.perf_counter()
        best_answers(system.model, system.tokenizer, some)
        per_second = len(some) / (time.perf_counter() - started)
        rows.append(
            {
                "model": system.name,
                "prefixes per second": round(per_second, 1),
                f"{NUM_TEST_PAIRS:,} test pairs": duration(NUM_TEST_PAIRS / per_second),
            }
        )
    return rows
