"""The README says what is so: its example runs as printed, its table is the committed comparison's."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from src.report.readme import TABLE_END, TABLE_START, results_section, update_readme

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
TRACKED_RUN = re.search(r'run_dir = "(models/lstm_lm-[^"]+)"', README).group(1)


def test_example_runs_as_printed():
    example = next(block for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "load_lstm_lm" in block)
    completed = subprocess.run(
        [sys.executable, "-c", example], cwd=ROOT, capture_output=True, text=True, check=True, timeout=300
    )
    printed = completed.stdout.strip()
    assert printed.startswith("the weather today ")
    assert re.fullmatch(r"[a-z0-9 ]+", printed)


def test_tracked_run_is_whole_and_small():
    run_dir = ROOT / TRACKED_RUN
    # Whatever was exported from it here.
    paths = [path for path in run_dir.iterdir() if path.suffix != ".onnx"]
    assert {path.name for path in paths} == {
        "README.md",
        "comparison.json",
        "history.json",
        "meta.json",
        "model.pt",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.txt",
    }
    assert sum(path.stat().st_size for path in paths) < 25e6


def test_table_is_that_of_the_tracked_comparison():
    record = json.loads((ROOT / TRACKED_RUN / "comparison.json").read_text(encoding="utf-8"))
    table = README.split(TABLE_START)[1].split(TABLE_END)[0].strip()
    assert table == results_section(record).strip(), "run `make table`"


def test_update_readme_replaces_the_table_only(tmp_path):
    run_dir = tmp_path / "models" / "lstm_lm-20260101-000000"
    run_dir.mkdir(parents=True)
    (run_dir / "comparison.json").write_bytes((ROOT / TRACKED_RUN / "comparison.json").read_bytes())
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{TABLE_START}\nold\n{TABLE_END}\nafter\n")
    update_readme(readme, tmp_path / "models")
    updated = readme.read_text()
    assert updated.startswith(f"before\n{TABLE_START}\n|  | ROUGE-1 |")
    assert updated.endswith(f"{TABLE_END}\nafter\n")
    assert "old" not in updated
    update_readme(readme, tmp_path / "models")
    assert readme.read_text() == updated


def test_update_readme_says_what_is_missing(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("no markers")
    with pytest.raises(ValueError, match=r"no comparison\.json in .*: run compare\.ipynb first"):
        update_readme(readme, tmp_path)
    run_dir = tmp_path / "lstm_lm-20260101-000000"
    run_dir.mkdir()
    shutil.copy(ROOT / TRACKED_RUN / "comparison.json", run_dir)
    with pytest.raises(ValueError, match="has no lines"):
        update_readme(readme, tmp_path)
