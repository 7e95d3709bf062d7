"""The README is true: its examples run and print what it shows, its table is that of the committed comparison."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from src.model_card import model_card
from src.report.readme import (
    FULL_END,
    FULL_START,
    TABLE_END,
    TABLE_START,
    full_results_section,
    results_section,
    update_pages,
)

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


def test_tables_are_those_of_the_tracked_comparison():
    record = json.loads((ROOT / TRACKED_RUN / "comparison.json").read_text(encoding="utf-8"))
    table = README.split(TABLE_START)[1].split(TABLE_END)[0].strip()
    assert table == results_section(record).strip(), "run `make table`"
    results = (ROOT / "benchmarks" / "RESULTS.md").read_text(encoding="utf-8")
    assert results.split(FULL_START)[1].split(FULL_END)[0].strip() == full_results_section(record).strip()


@pytest.fixture
def pages(tmp_path) -> list[Path]:
    """A README and a page of results with old tables."""
    readme, results = tmp_path / "README.md", tmp_path / "RESULTS.md"
    readme.write_text(f"before\n{TABLE_START}\nold\n{TABLE_END}\nafter\n")
    results.write_text(f"before\n{FULL_START}\nold\n{FULL_END}\nafter\n")
    return [readme, results]


def test_the_card_of_the_tracked_run_is_made_from_its_records():
    meta, comparison = (
        json.loads((ROOT / TRACKED_RUN / f"{name}.json").read_text(encoding="utf-8")) for name in ("meta", "comparison")
    )
    assert (ROOT / TRACKED_RUN / "README.md").read_text(encoding="utf-8") == model_card(meta, comparison)


def test_only_the_tables_are_replaced(tmp_path, pages):
    run_dir = tmp_path / "models" / "lstm_lm-20260101-000000"
    run_dir.mkdir(parents=True)
    shutil.copy(ROOT / TRACKED_RUN / "comparison.json", run_dir)
    update_pages(*pages, tmp_path / "models")
    updated = [page.read_text() for page in pages]
    beginnings = f"{TABLE_START}\n|  | keys saved, 3 suggestions |", f"{FULL_START}\n|  | tweets typed |"
    for text, beginning, end in zip(updated, beginnings, (TABLE_END, FULL_END)):
        assert text.startswith(f"before\n{beginning}")
        assert text.endswith(f"{end}\nafter\n")
        assert "old" not in text
    update_pages(*pages, tmp_path / "models")
    assert [page.read_text() for page in pages] == updated


def test_what_is_missing_is_said(tmp_path, pages):
    with pytest.raises(ValueError, match=r"no comparison\.json in .*: run compare\.ipynb first"):
        update_pages(*pages, tmp_path)
    run_dir = tmp_path / "lstm_lm-20260101-000000"
    run_dir.mkdir()
    shutil.copy(ROOT / TRACKED_RUN / "comparison.json", run_dir)
    pages[0].write_text("no markers")
    with pytest.raises(ValueError, match="has no lines"):
        update_pages(*pages, tmp_path)
    pages[0].write_text(f"{TABLE_START}\n{TABLE_END}\n{TABLE_START}\n")
    with pytest.raises(ValueError, match="has the line '<!-- results: make table -->' 2 times"):
        update_pages(*pages, tmp_path)


@pytest.mark.parametrize("content", ["{", "{}", "[]"])
def test_a_damaged_comparison_is_named_and_changes_no_page(tmp_path, pages, content):
    run_dir = tmp_path / "lstm_lm-20260101-000000"
    run_dir.mkdir()
    (run_dir / "comparison.json").write_text(content)
    before = [page.read_text() for page in pages]
    with pytest.raises(
        ValueError, match=r"comparison\.json is not the record of a comparison: run compare\.ipynb again"
    ):
        update_pages(*pages, tmp_path)
    assert [page.read_text() for page in pages] == before
