"""The parts of the speed benchmark: each measures one subject and returns its tables by title."""

import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from benchmarks.common import prepared_corpus
from benchmarks.speed import data as preparation
from benchmarks.speed import finetuning as finetuning_speed
from benchmarks.speed import gpu as gpu_speed
from benchmarks.speed import suggestions as suggestion_speed
from benchmarks.speed import training as training_speed
from benchmarks.speed import training_step
from benchmarks.speed.memory import in_own_process
from benchmarks.speed.timing import machine_limits
from src.corpus.load import load_corpus
from src.deploy.device import DEVICE_DIR
from src.deploy.export import export_onnx
from src.evaluation.selection import validation_texts
from src.evaluation.systems import ModelSystem, as_pairs
from src.lstm_model import load_lstm_lm
from src.models.pretrained import PRETRAINED_NAMES, load_pretrained
from src.runs import RunError, find_run

Tables = dict[str, list[dict]]
TRAINING_TITLE, PREPARATION_TITLE = "Training: tweets per second", "Data preparation: 1.6 million rows, zipped"
GPU_TITLE = "GPU: training with the parameters of vm/"
NUM_TRAIN = 40_000
NUM_PREFIXES = 100
NUM_TYPED = 30
NUM_IN_BATCHES = 2_000


def machine() -> Tables:
    rows = [{"": name, "value": round(value, 1)} for name, value in machine_limits().items()]
    return {"Peak rates of this machine": [{"": "threads", "value": torch.get_num_threads()}, *rows]}


def training() -> Tables:
    tweets, _ = prepared_corpus()
    texts = tweets.texts("train", NUM_TRAIN)
    return {
        TRAINING_TITLE: training_speed.training_speed(texts, machine_limits()),
        "Peak memory of a training process": memory_rows(texts),
        "Overhead of the Trainer": training_step.trainer_overhead(texts),
        "Profile of a training step": training_step.step_profile(texts),
        "Options tried to shorten a training step": training_step.tried_options(texts),
    }


def memory_rows(texts: list[str]) -> list[dict]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "texts.json"
        path.write_text(json.dumps(texts), encoding="utf-8")
        return [
            {"loop": loop, "steps": steps, "peak MB": round(in_own_process("training", loop, str(path)))}
            for loop, steps in training_speed.MEMORY_STEPS.items()
        ]


def finetuning() -> Tables:
    tweets, _ = prepared_corpus()
    return {"Fine-tuning: tweets per second": finetuning_speed.finetuning_speed(tweets.texts("train", NUM_TRAIN))}


def data() -> Tables:
    rows = prepared_rows("preparation_speed", preparation.NUM_ROWS)
    with TemporaryDirectory() as folder:
        growth = preparation.growth(load_corpus(data_dir="data"), Path(folder))
    return {PREPARATION_TITLE: rows, "Data preparation by number of rows": growth}


def large_data() -> Tables:
    rows = prepared_rows("large_preparation", preparation.NUM_LARGE_ROWS)
    return {"Data preparation: 20 million rows, zipped, not held in memory": rows}


def prepared_rows(name: str, num_rows: int) -> list[dict]:
    """A row for each stage of a preparation, and one for its peak memory."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "tweets.csv.zip"
        preparation.write_varied_csv(load_corpus(data_dir="data"), path, num_rows)
        rows, megabytes = in_own_process(name, str(path))
    return [*rows, {"stage": "peak MB", "seconds": "", "rows per second": round(megabytes)}]


MEMORY_TASKS = {
    "LSTM, ONNX int8": "complete_with_onnx",
    "LSTM with n-grams, device": "complete_on_device",
    "LSTM, torch": "complete_with_torch",
}


def suggestions() -> Tables:
    tweets, _ = prepared_corpus()
    texts = validation_texts(tweets, 0, NUM_IN_BATCHES)
    prefixes = [pair.context for pair in as_pairs(texts)]
    systems = trained_systems()
    throughput = suggestion_speed.throughput(systems, prefixes)
    torch.set_num_threads(1)
    run_dir = find_run("lstm_lm")
    export_onnx(run_dir)
    return {
        "Latency of a suggestion of five tokens, one thread": suggestion_speed.latency(
            systems, run_dir, prefixes[:NUM_PREFIXES]
        ),
        "Options tried to shorten a suggestion": suggestion_speed.tried_options(systems[0], prefixes[:NUM_TYPED]),
        "Throughput in batches, all threads": throughput,
    }


def keystrokes() -> Tables:
    tweets, _ = prepared_corpus()
    texts = validation_texts(tweets, 0, NUM_TYPED)
    torch.set_num_threads(1)
    run_dir = find_run("lstm_lm")
    export_onnx(run_dir)
    return {
        "Latency before a keystroke, one thread": suggestion_speed.keystrokes(run_dir, texts),
        "Peak memory of a process that completes": [
            {"model": name, "peak MB": round(in_own_process(task, str(run_dir)))}
            for name, task in MEMORY_TASKS.items()
            if task != "complete_on_device" or (run_dir / DEVICE_DIR).is_dir()
        ],
    }


def trained_systems() -> list[ModelSystem]:
    """The newest LSTM and the newest fine-tuned transformer, or the transformer before fine-tuning."""
    tokenizer, lstm, _, _ = load_lstm_lm(find_run("lstm_lm"))
    try:
        lm = load_pretrained(find_run(*PRETRAINED_NAMES))
    except RunError:
        lm = load_pretrained()
    return [ModelSystem("LSTM", lstm, tokenizer), ModelSystem(lm.name, lm.model, lm.tokenizer)]


def gpu() -> Tables:
    tweets, _ = prepared_corpus()
    return {GPU_TITLE: gpu_speed.gpu_speed(tweets.texts("train"))}


PARTS: dict[str, Callable[[], Tables]] = {
    part.__name__: part for part in (machine, training, finetuning, data, large_data, suggestions, keystrokes, gpu)
}
DEFAULT_PARTS = [name for name in PARTS if name != "gpu"]
