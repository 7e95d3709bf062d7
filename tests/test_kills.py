"""A run that is killed anywhere leaves nothing half, and ends as if nothing had happened when it is started again."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_a_run_killed_in_any_stage_ends_as_an_undisturbed_one():
    code = "from benchmarks.kills import kill_many; print([row['times'] for row in kill_many(6)])"
    completed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert completed.returncode == 0, completed.stderr[-2000:]
    assert completed.stdout.strip() == "[1, 1, 1, 1, 1, 1]"
