"""How long a system takes for one suggestion, and whether the machine had other work meanwhile."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import psutil
from tqdm import tqdm

from src.evaluation.intervals import Estimate, quantile_estimate
from src.evaluation.systems import System

# With more cores in use by other processes, latencies say more about these than about the systems.
BUSY_CORES = 0.5


@dataclass(frozen=True)
class Latency:
    """What one suggestion for one prefix takes.

    Attributes:
        median, p90: median and 90th percentile over prefixes, in seconds.
        cpu_seconds: median over prefixes of the processor time of the process, all of its threads together.
        load_average: over the minute that ended with the timing; the timing itself is part of it.
        other_cores: mean number of cores that other processes used during the timing.
        busy_machine: they used more than `BUSY_CORES`.
    """

    median: Estimate
    p90: Estimate
    cpu_seconds: float
    load_average: float
    other_cores: float
    busy_machine: bool


def suggestion_seconds(systems: Sequence[System], prefixes: Sequence[str], seed: int) -> dict[str, Latency]:
    """Latency of one suggestion for one prefix, by the system's name.

    The systems take turns on every prefix, so other load hits all of them alike. The first prefix warms them up and is
    not counted.

    Args:
        prefixes: cleaned texts.
        seed: seed of the bootstrap.

    Raises:
        ValueError: there are fewer than two prefixes.
    """
    if len(prefixes) < 2:
        raise ValueError(f"{len(prefixes)} prefixes to time: give at least two, because the first one only warms up")
    seconds: dict[str, list[tuple[float, float]]] = {system.name: [] for system in systems}
    psutil.cpu_percent()  # the next call covers the time since this one
    started = time.perf_counter(), time.process_time()
    for prefix in tqdm(prefixes, "timing", leave=False, mininterval=1):
        for system in systems:
            cpu, wall = time.process_time(), time.perf_counter()
            system.complete([prefix])
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            seconds[system.name].append((wall, cpu))
    used_cores = psutil.cpu_percent() / 100 * psutil.cpu_count()
    own_cores = (time.process_time() - started[1]) / (time.perf_counter() - started[0])
    other_cores = max(0.0, used_cores - own_cores)
    machine = psutil.getloadavg()[0], other_cores, other_cores > BUSY_CORES
    latencies = {}
    for name, values in seconds.items():
        wall, cpu = zip(*values[1:])
        median, p90 = (quantile_estimate(wall, q, seed) for q in (0.5, 0.9))
        latencies[name] = Latency(median, p90, quantile_estimate(cpu, 0.5, seed).value, *machine)
    return latencies
