"""The peak memory of one task, measured in a process that does nothing else.

`in_own_process(TASK, ARGUMENT, ...)` runs `python -m benchmarks.speed.memory TASK ARGUMENT ...`, which prints what the
task returns as JSON. Each task imports what it needs itself, since imported libraries count as its memory.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

TYPED = "the weather today is so nice that i want to go out and play with my dog all day long"


def peak_megabytes() -> float:
    """The peak memory of this process in MB, with its libraries.

    `resource.getrusage` would also count the process that started this one.
    """
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status).group(1)) * 1_024 / 1e6


def training(loop: str, path: str) -> float:
    """Peak MB of a loop of `benchmarks.speed.training` on the texts in a JSON file."""
    from benchmarks.speed.training import run_memory_steps

    run_memory_steps(loop, json.loads(Path(path).read_text(encoding="utf-8")))
    return peak_megabytes()


def preparation_speed(path: str) -> tuple[list[dict], float]:
    """The rows of `benchmarks.speed.data.preparation_speed`, and peak MB."""
    from benchmarks.speed.data import preparation_speed

    return preparation_speed(Path(path)), peak_megabytes()


def large_preparation(path: str) -> tuple[list[dict], float]:
    """The rows of `benchmarks.speed.data.large_preparation`, and peak MB."""
    from benchmarks.speed.data import large_preparation

    return large_preparation(Path(path)), peak_megabytes()


def complete_with_onnx(run_dir: str) -> float:
    """Peak MB of completing a prefix with the exported LSTM in int8."""
    from src.deploy.onnx_lstm import OnnxLSTM

    completer = OnnxLSTM(run_dir)
    for end in range(len(TYPED)):
        completer.complete([TYPED[:end]], n=3, half_typed=True)
    return peak_megabytes()


def complete_on_device(run_dir: str) -> float:
    """Peak MB of completing prefixes with the folder `device`."""
    from src.deploy.device import DEVICE_DIR, DeviceLM

    completer = DeviceLM(Path(run_dir) / DEVICE_DIR)
    for end in range(len(TYPED)):
        completer.complete([TYPED[:end]], n=3, half_typed=True)
    return peak_megabytes()


def complete_with_torch(run_dir: str) -> float:
    """Peak MB of completing a prefix with the LSTM in torch."""
    from src.completion.completer import complete
    from src.lstm_model import load_lstm_lm

    tokenizer, model, _, _ = load_lstm_lm(run_dir)
    complete(model, tokenizer, [TYPED], n=3)
    return peak_megabytes()


ALL_TASKS = (
    training,
    preparation_speed,
    large_preparation,
    complete_with_onnx,
    complete_on_device,
    complete_with_torch,
)
TASKS = {task.__name__: task for task in ALL_TASKS}


def in_own_process(task: str, *arguments: str):
    """What a task of `TASKS` returns when a new process runs it."""
    command = [sys.executable, "-m", "benchmarks.speed.memory", task, *arguments]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


if __name__ == "__main__":
    print(json.dumps(TASKS[sys.argv[1]](*sys.argv[2:])))
