"""The README is true: its examples run and print what it shows, its table is that of the committed comparison."""

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
USING = (ROOT / "docs" / "USING.md").read_text(encoding="utf-8")
TRACKED_RUN = re.search(r'run_dir = "(models/lstm_lm-[^"]+)"', README).group(1)
MARK = "--- next block ---"


@pytest.mark.slow
def test_examples_run_and_print_what_the_readme_shows():
    """All Python blocks of both pages, in order and in one process; a text block after one is what it prints."""
    blocks = re.findall(r"```python\n(.*?)```(?:\n\n```text\n(.*?)```)?", README + USING, re.DOTALL)
    program = f"\nprint({MARK!r})\n".join(code for code, _ in blocks)
    completed = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )
    assert completed.returncode == 0, completed.stderr
    printed = completed.stdout.split(f"{MARK}\n")
    assert len(printed) == len(blocks)
    for (_, shown), output in zip(blocks, printed):
        if shown:
            assert output == shown


def test_documented_calls_are_shown():
    for call in (
        "load_lstm_lm(run_dir, device=",
        "model.generate(prefix_ids, max_new_tokens=20, eos_id=eos_id)",
        "export_onnx(run_dir)",
        "OnnxLSTM(run_dir).complete(",
    ):
        assert call in README, call


def test_the_readme_is_short():
    assert len(README.split()) < 1_500


def test_first_completion_comes_within_150_words():
    words_before = README.split("```text")[0].split()
    assert len(words_before) <= 150


def test_tracked_run_is_complete_and_small():
    run_dir = ROOT / TRACKED_RUN
    # The ONNX files are made here and not tracked.
    paths = [path for path in run_dir.iterdir() if path.suffix != ".onnx"]
    assert {path.name for path in paths} == {
        "README.md",
        "calibration.json",
        "comparison.json",
        "device",
        "history.json",
        "meta.json",
        "model.pt",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "training_texts.safetensors",
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
    assert updated.startswith(f"before\n{TABLE_START}\n|  | tweets typed |")
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
