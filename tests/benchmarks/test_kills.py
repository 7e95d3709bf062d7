"""A run that is disturbed in any stage leaves no incomplete file, and when run again ends like an undisturbed one."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]


def printed(expression: str) -> str:
    """What a new process prints, which has no other threads and may be forked."""
    code = f"from benchmarks.robustness import kills; print({expression})"
    completed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert completed.returncode == 0, completed.stderr[-2000:]
    return completed.stdout.strip()


def test_a_run_killed_in_any_stage_and_run_again_ends_like_an_undisturbed_one():
    assert printed("[row['killed'] for row in kills.kill_many(7)]") == "[1, 1, 1, 1, 1, 1, 1]"


def test_a_full_disk_is_reported_in_every_stage_and_nothing_is_lost():
    assert printed("list(kills.fill_disk_in_every_stage().values())") == "[True, True, True, True, True, True, True]"
