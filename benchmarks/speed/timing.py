"""Times side by side, and what this machine can do at most."""

import re
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

MATRIX_SIZE = 2_048
COPY_FLOATS = 64_000_000


def median_seconds(actions: dict[str, Callable[[], object]], turns: int, warm_up: int = 1) -> dict[str, float]:
    """Median wall time of each action, the actions taking turns.

    A machine that others use is slower at one time than at another: only actions that took turns
    can be compared.
    """
    seconds: dict[str, list[float]] = {name: [] for name in actions}
    for turn in range(warm_up + turns):
        for name, action in actions.items():
            started = time.perf_counter()
            action()
            if turn >= warm_up:
                seconds[name].append(time.perf_counter() - started)
    return {name: float(np.median(values)) for name, values in seconds.items()}


def machine_limits(turns: int = 9) -> dict[str, float]:
    """Peak of matrix products in float32 and bfloat16, in GFLOP/s, and of copying, in GB/s (read and written)."""
    actions, work = {}, {}
    for dtype in (torch.float32, torch.bfloat16):
        name = f"matmul {str(dtype).removeprefix('torch.')}, GFLOP/s"
        a, b = (torch.randn(MATRIX_SIZE, MATRIX_SIZE).to(dtype) for _ in range(2))
        actions[name] = lambda a=a, b=b: a @ b
        work[name] = 2 * MATRIX_SIZE**3
    source = torch.zeros(COPY_FLOATS)
    target = torch.empty_like(source)
    actions["copy, GB/s"] = lambda: target.copy_(source)
    work["copy, GB/s"] = 2 * 4 * COPY_FLOATS
    return {name: work[name] / seconds / 1e9 for name, seconds in median_seconds(actions, turns).items()}


def peak_megabytes() -> float:
    """The most memory that this process has taken, in MB, with the libraries.

    What `resource.getrusage` says counts the process that started it, too.
    """
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status).group(1)) * 1_024 / 1e6
