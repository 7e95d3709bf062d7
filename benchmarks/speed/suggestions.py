"""Latency of a suggestion of five tokens and of a keystroke in milliseconds, and prefixes per second in batches."""

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
from src.completion.completer import Completer, best_answers
from src.completion.decoding import GREEDY, Decoding
from src.completion.prefix_memory import PrefixMemory
from src.completion.word_constraint import WordConstraint
from src.deploy.device import DEVICE_DIR, DeviceLM
from src.deploy.onnx_lstm import FILES, OnnxLSTM, Precision
from src.evaluation.systems import ModelSystem
from src.lstm_model import load_lstm_lm
from src.text.prefixes import TweetCompleter

# Number of suggestions and decoding.
WAYS = {
    "greedy": (1, GREEDY),
    "3 suggestions": (3, GREEDY),
    "MBR over 16 samples": (1, Decoding("mbr")),
}
NUM_TOKENS = 5
TURNS = 5
PREFIXES_OF_A_TURN = 10
ROUNDS = 3
# A tenth of the full corpus.
NUM_TEST_PAIRS = 160_000


class Endless(WordConstraint):
    """Bars the end too, so that every suggestion has the maximum number of tokens."""

    def __init__(self, eos_id: int, *arguments):
        super().__init__(*arguments)
        self.eos_id = eos_id

    def __call__(self, logits: torch.Tensor, new_ids: torch.Tensor, prompt_index: torch.Tensor) -> torch.Tensor:
        logits = super().__call__(logits, new_ids, prompt_index)
        logits[:, self.eos_id] = -torch.inf
        return logits


@contextmanager
def timed(*methods: tuple[object, str]) -> Iterator[list[float]]:
    """Measure every call of some methods; the list collects the seconds."""
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
    """Quantiles over prefixes, one prefix at a time: each system in each way, and the exported LSTM of a run folder.

    The systems take turns of several prefixes, since a person who types stays with one model. The first prefix of
    a turn finds the processor's caches filled by another model. Every prefix is measured in several rounds and its
    median counts, so that quantiles show differences between prefixes, not other load on the machine.
    """
    suggest = {(s.name, way): partial(suggest_by, s, *how) for s in systems for way, how in WAYS.items()}
    suggest |= {(f"LSTM, ONNX {precision}", "greedy"): suggest_by_onnx(run_dir, precision) for precision in FILES}
    times: dict[tuple[str, str], list[Seconds]] = {key: [] for key in suggest}
    for _ in range(ROUNDS):
        for start in range(0, len(prefixes), PREFIXES_OF_A_TURN):
            for key, action in suggest.items():
                times[key] += map(action, prefixes[start : start + PREFIXES_OF_A_TURN])
    return [{"model": model, "way": way, **summary(measured)} for (model, way), measured in times.items()]


class Seconds(NamedTuple):
    """Seconds that one suggestion took."""

    total: float
    in_model: float
    in_tokenizer: float


def summary(times: list[Seconds]) -> dict[str, float | str]:
    total, in_model, in_tokenizer = np.median(np.reshape(times, (ROUNDS, -1, 3)), axis=0).T
    return {
        **quantiles(total),
        "first of a turn, p50 ms": quantiles(total[::PREFIXES_OF_A_TURN])["p50 ms"],
        "in the model": f"{np.median(in_model / total):.0%}",
        "in the tokenizer": f"{np.median(in_tokenizer / total):.0%}",
    }


def suggest_by(system: ModelSystem, n: int, decoding: Decoding, prefix: str) -> Seconds:
    model, tokenizer = system.model, system.tokenizer
    completer = Completer(model, tokenizer, decoding)
    endless = patch.object(completion, "WordConstraint", partial(Endless, tokenizer.eos_token_id))
    tokenizing = timed((completion, "encode"), (tokenizer, "batch_decode"))
    with endless, timed((model, "forward")) as in_model, tokenizing as in_tokenizer:
        started = time.perf_counter()
        completer.complete([prefix], n, max_new_tokens=NUM_TOKENS)
        return Seconds(time.perf_counter() - started, sum(in_model), sum(in_tokenizer))


def suggest_by_onnx(run_dir: Path, precision: Precision) -> Callable[[str], Seconds]:
    model = OnnxLSTM(run_dir, precision)
    # No suggestion ends before its last token.
    model.word_search.eos_id = None
    # Methods of the tokenizer itself can't be replaced.
    model.tokenizer = SimpleNamespace(encode=model.tokenizer.encode, decode=model.tokenizer.decode)

    def suggest(prefix: str) -> Seconds:
        tokenizing = timed((model.tokenizer, "encode"), (model.tokenizer, "decode"))
        model.texts.texts.clear()
        with timed((model, "read")) as in_model, tokenizing as in_tokenizer:
            started = time.perf_counter()
            model.complete([prefix], max_new_tokens=NUM_TOKENS)
            return Seconds(time.perf_counter() - started, sum(in_model), sum(in_tokenizer))

    return suggest


def tried_options(lstm: ModelSystem, prefixes: list[str]) -> list[dict]:
    """The LSTM's greedy suggestion as it is, and with each option on its own; the variants take turns."""
    with warnings.catch_warnings():
        # torch warns that quantisation moves to another package. The int8 model of this project is onnxruntime's.
        warnings.simplefilter("ignore")
        int8_layers = quantize_dynamic(deepcopy(lstm.model), {torch.nn.Linear}, dtype=torch.qint8)

    def suggest(model: PreTrainedModel, complete: Callable = Completer.complete) -> None:
        completer = Completer(model, lstm.tokenizer, GREEDY)
        for prefix in prefixes:
            complete(completer, [prefix], max_new_tokens=NUM_TOKENS)

    actions = {
        "as it is": partial(suggest, lstm.model),
        "no_grad, not inference_mode": partial(suggest, lstm.model, torch.no_grad()(Completer.complete.__wrapped__)),
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


def keystrokes(run_dir: Path, texts: list[str]) -> list[dict]:
    """Latency of three suggestions before each letter of typed texts: the forms of the LSTM take turns with each text.

    A person stays with one model, so a form types a whole text before the next one does.
    """
    tokenizer, lstm, _, _ = load_lstm_lm(run_dir)
    completers: dict[tuple[str, str], TweetCompleter] = {
        ("LSTM", "from the start"): Completer(lstm, tokenizer),
        ("LSTM", "with memory"): Completer(lstm, tokenizer, memory=PrefixMemory(lstm)),
    }
    completers |= {(f"LSTM, ONNX {precision}", "with memory"): OnnxLSTM(run_dir, precision) for precision in FILES}
    if (run_dir / DEVICE_DIR).is_dir():
        device = DeviceLM(run_dir / DEVICE_DIR, allow_offensive_words=True)
        completers["LSTM with n-grams, device", "with memory"] = device
    seconds: dict[tuple[str, str], list[float]] = {key: [] for key in completers}
    for text in texts:
        for key, completer in completers.items():
            for end in range(len(text)):
                started = time.perf_counter()
                completer.complete([text[:end]], 3, half_typed=True)
                seconds[key].append(time.perf_counter() - started)
    slowest = quantiles(seconds["LSTM", "from the start"])
    return [
        {
            "model": model,
            "keystroke": way,
            **(row := quantiles(times)),
            "share of p90": round(row["p90 ms"] / slowest["p90 ms"], 2),
        }
        for (model, way), times in seconds.items()
    ]


def throughput(systems: list[ModelSystem], prefixes: list[str]) -> list[dict]:
    """Prefixes per second in batches, with greedy suggestions that end where the model ends them."""
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
