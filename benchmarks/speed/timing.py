"""Timing: actions that take turns, the peak rates of this machine, and profiles of steps."""

import time
from collections.abc import Callable

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile

MATRIX_SIZE = 2_048
COPY_FLOATS = 64_000_000


def median_seconds(actions: dict[str, Callable[[], object]], turns: int, warm_up: int = 1) -> dict[str, float]:
    """Median wall time of each action, the actions taking turns.

    The speed of a shared machine changes over time, so only actions that took turns can be compared.
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
    """Peak rates of matrix products in float32 and bfloat16, in GFLOP/s, and of copying, in GB/s (reads and writes)."""
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


def operation_times(make_steps: Callable[[int], object], num_steps: int) -> dict[str, float]:
    """Milliseconds per step of every operation on the CPU, the longest first.

    Args:
        make_steps: makes the number of steps that it is given.
    """
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        make_steps(num_steps)
    times = {event.key: event.self_cpu_time_total / 1e3 / num_steps for event in profiler.key_averages()}
    return dict(sorted(times.items(), key=lambda item: -item[1]))
