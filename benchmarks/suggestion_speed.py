"""Milliseconds of a suggestion of five tokens, of a keystroke, and prefixes a second in batches."""

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from torch.ao.quantization import quantize_dynamic
from transformers import PreTrainedModel

from benchmarks.costs import duration
from benchmarks.timing import median_seconds
from src.completion import best_answers, complete
from src.decoding import GREEDY, Decoding
from src.evaluation import ModelSystem
from src.new_word import NewWord
from src.onnx_lstm import FILES, OnnxLSTM
from src.prefix_memory import PrefixMemory

WAYS = {
    "greedy": {"n": 1, "decoding": GREEDY},
    "3 suggestions": {"n": 3, "decoding": GREEDY},
    "MBR over 16 samples": {"n": 1, "decoding": Decoding("mbr")},
}
NUM_TOKENS = 5
TURNS = 5
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
def timed_forward(model: PreTrainedModel) -> Iterator[list[float]]:
    """The seconds of every forward pass."""
    forward, seconds = model.forward, []

    def timed(*args, **kwargs):
        started = time.perf_counter()
        output = forward(*args, **kwargs)
        seconds.append(time.perf_counter() - started)
        return output

    model.forward = timed
    yield seconds
    del model.forward


def latency(systems: list[ModelSystem], prefixes: list[str]) -> list[dict]:
    """Quantiles over prefixes, one at a time, the systems and the ways taking turns."""
    seconds: dict[tuple[str, str], list[float]] = {(system.name, way): [] for system in systems for way in WAYS}
    shares: dict[tuple[str, str], list[float]] = {key: [] for key in seconds}
    for prefix in [*prefixes[:3], *prefixes]:
        for system in systems:
            for way, arguments in WAYS.items():
                endless = patch("src.completion.NewWord", partial(Endless, system.tokenizer.eos_token_id))
                with endless, timed_forward(system.model) as forward_seconds:
                    started = time.perf_counter()
                    complete(system.model, system.tokenizer, [prefix], max_new_tokens=NUM_TOKENS, **arguments)
                    duration = time.perf_counter() - started
                seconds[system.name, way].append(duration)
                shares[system.name, way].append(sum(forward_seconds) / duration)
    return [
        {
            "model": name,
            "way": way,
            **quantiles(values[3:]),
            "in the model": f"{np.median(shares[name, way]):.0%}",
        }
        for (name, way), values in seconds.items()
    ]


def onnx_latency(run_dir: Path, prefixes: list[str]) -> list[dict]:
    """The same for the exported LSTM, greedy, in both precisions, which take turns."""
    models = {precision: OnnxLSTM(run_dir, precision) for precision in FILES}
    seconds: dict[str, list[float]] = {precision: [] for precision in models}
    for model in models.values():
        # No suggestion ends before its fifth token.
        model.eos_id = None
    for prefix in [*prefixes[:3], *prefixes]:
        for precision, model in models.items():
            started = time.perf_counter()
            model.complete([prefix], max_new_tokens=NUM_TOKENS)
            seconds[precision].append(time.perf_counter() - started)
    return [
        {"model": f"LSTM, ONNX {precision}", "way": "greedy", **quantiles(values[3:]), "in the model": ""}
        for precision, values in seconds.items()
    ]


def tried_options(lstm: ModelSystem, prefixes: list[str]) -> list[dict]:
    """Each option on its own against the LSTM's greedy suggestion as it is, taking turns."""
    with warnings.catch_warnings():
        # It is to move to another package; the int8 that this project offers is that of onnxruntime.
        warnings.simplefilter("ignore")
        int8_layers = quantize_dynamic(deepcopy(lstm.model), {torch.nn.Linear}, dtype=torch.qint8)

    def suggest(model: PreTrainedModel) -> None:
        for prefix in prefixes:
            complete(model, lstm.tokenizer, [prefix], max_new_tokens=NUM_TOKENS)

    def in_inference_mode() -> None:
        with torch.inference_mode():
            suggest(lstm.model)

    actions = {
        "as it is": partial(suggest, lstm.model),
        "inference_mode, not no_grad": in_inference_mode,
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
