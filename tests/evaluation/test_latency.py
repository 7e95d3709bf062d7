"""The latency of suggestions, and whether the machine was busy with something else."""

from types import SimpleNamespace

import numpy as np
import pytest

from src.evaluation import latency
from src.evaluation.latency import suggestion_seconds


class Machine:
    """A clock, a processor of four cores, and systems that use them."""

    def __init__(self, monkeypatch, other_cores=0.0):
        self.wall = self.cpu = 0.0
        self.since, self.other_cores, self.calls = (0.0, 0.0), other_cores, []
        clock = SimpleNamespace(perf_counter=lambda: self.wall, process_time=lambda: self.cpu)
        processor = SimpleNamespace(
            cpu_percent=self.cpu_percent, cpu_count=lambda: 4, getloadavg=lambda: (1.5, 0.0, 0.0)
        )
        monkeypatch.setattr(latency, "time", clock)
        monkeypatch.setattr(latency, "psutil", processor)

    def cpu_percent(self):
        wall, cpu = self.wall - self.since[0], self.cpu - self.since[1]
        self.since = self.wall, self.cpu
        return 100 / 4 * (cpu / wall + self.other_cores) if wall else 0.0

    def system(self, name, durations, cores=1.0):
        durations = iter(durations)

        def complete(prefixes):
            self.calls.append((name, prefixes))
            duration = next(durations)
            self.wall += duration
            self.cpu += cores * duration
            return ["x"]

        return SimpleNamespace(name=name, complete=complete)


def test_systems_take_turns_and_the_first_prefix_is_not_counted(monkeypatch):
    machine = Machine(monkeypatch)
    systems = [machine.system("fast", [100, 1, 4, 2]), machine.system("slow", [1000, 30, 20, 70], cores=2)]
    found = suggestion_seconds(systems, ["a", "b", "c", "d"], seed=0)
    # The medians are those of 1, 4, 2 and of 30, 20, 70.
    assert {name: one.median.value for name, one in found.items()} == pytest.approx({"fast": 2, "slow": 30})
    assert {name: one.p90.value for name, one in found.items()} == pytest.approx({"fast": 3.6, "slow": 62})
    assert {name: one.cpu_seconds for name, one in found.items()} == pytest.approx({"fast": 2, "slow": 60})
    assert machine.calls == [(name, [prefix]) for prefix in "abcd" for name in ("fast", "slow")]


def test_intervals_are_over_prefixes(monkeypatch):
    machine, durations = Machine(monkeypatch), np.arange(101.0)
    [found] = suggestion_seconds([machine.system("one", durations)], ["a"] * 101, seed=0).values()
    assert (found.median.n, found.p90.n) == (100, 100)
    assert 35 < found.median.low < 45 and 56 < found.median.high < 66
    assert 80 < found.p90.low < 88 and 92 < found.p90.high < 99


@pytest.mark.parametrize(("other_cores", "is_busy"), [(0.0, False), (0.4, False), (0.6, True), (3.0, True)])
def test_only_the_work_of_other_processes_makes_a_machine_busy(monkeypatch, other_cores, is_busy):
    machine = Machine(monkeypatch, other_cores)
    [found] = suggestion_seconds([machine.system("one", [1, 2, 3], cores=3)], ["a", "b", "c"], seed=0).values()
    assert found.other_cores == pytest.approx(other_cores) and found.busy_machine == is_busy
    assert found.load_average == 1.5


def test_one_prefix_is_too_few_because_it_only_warms_up():
    with pytest.raises(ValueError, match="1 prefixes to time: give at least two"):
        suggestion_seconds([], ["a"], seed=0)
