"""A run that is disturbed anywhere leaves nothing half, and ends as an undisturbed one when it is started again."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]


def printed(expression: str) -> str:
    """By a process that may be forked."""
    code = f"from benchmarks import kills; print({expression})"
    completed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert completed.returncode == 0, completed.stderr[-2000:]
    return completed.stdout.strip()


def test_a_run_killed_in_any_stage_ends_as_an_undisturbed_one():
    assert printed("[row['killed'] for row in kills.kill_many(6)]") == "[1, 1, 1, 1, 1, 1]"


def test_a_full_disk_is_told_in_any_stage_and_costs_nothing():
    assert printed("list(kills.fill_disk_in_every_stage().values())") == "[True, True, True, True, True, True]"
