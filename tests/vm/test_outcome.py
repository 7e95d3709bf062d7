"""What is said after notebooks: results, errors, interrupts."""

import json
import shutil
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from papermill.exceptions import PapermillExecutionError

from src.report.tables import plain_table
from src.runs import COMPARISON_FILE, new_run
from vm.outcome import closing_lines, command, explain_error, explain_interrupt, project_errors, run_files

[COMMITTED] = (Path(__file__).resolve().parents[2] / "models").glob(f"*/{COMPARISON_FILE}")


@pytest.fixture
def notebook(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    parameters = new_code_cell('seed = 0\nmodels_dir = "../models"  # runs', metadata={"tags": ["parameters"]})
    Path("vm").mkdir()
    nbformat.write(new_notebook(cells=[parameters]), "vm/story.ipynb")
    return Path("vm/story.ipynb")


def save_run(name: str) -> Path:
    with new_run(name) as folder:
        (folder / "meta.json").write_text("{}")
    [run] = Path("models").glob(f"{name}-*")
    return run


def test_at_the_end_stand_the_table_the_run_folders_and_what_to_do_next(notebook):
    old = save_run("lstm_old")
    before = run_files([notebook])
    lstm, transformer = save_run("lstm_lm"), save_run("distilgpt2")
    Path("models/.checkpoints-lstm_lm").mkdir()
    Path("models/.checkpoints-lstm_lm/meta.json").write_text("{}")
    record = json.loads(COMMITTED.read_text(encoding="utf-8"))
    for system in record["systems"].values():
        system.pop("run", None)
    record["systems"]["smollm2-135m"]["run"] = transformer.name
    (lstm / COMPARISON_FILE).write_text(json.dumps(record))
    shown = closing_lines(before, run_files([notebook]))
    assert plain_table(record) in shown
    assert f"{record['num_pairs']:,} test pairs of sentiment140-1517130.csv.zip (sentiment140)" in shown
    assert f"Run folders:\n  {transformer}\n  {lstm}\n" in shown
    assert str(lstm / COMPARISON_FILE) in shown
    assert "make demo" in shown
    assert str(old) not in shown


def test_a_comparison_of_an_older_run_is_shown_and_an_older_comparison_is_not(notebook):
    run = save_run("lstm_lm")
    shutil.copy(COMMITTED, run)
    before = run_files([notebook])
    assert "ROUGE" not in closing_lines(before, run_files([notebook]))
    record = json.loads(COMMITTED.read_text(encoding="utf-8"))
    record["num_pairs"] = 7
    (run / COMPARISON_FILE).write_text(json.dumps(record))
    assert "7 test pairs" in closing_lines(before, run_files([notebook]))


def test_the_command_to_continue():
    assert command([Path("compare.ipynb")]) == "make run NOTEBOOKS=compare.ipynb"
    assert command([Path("vm/a.ipynb"), Path("vm/b.ipynb")]) == "make vm-run NOTEBOOKS='a.ipynb b.ipynb'"


def test_an_interrupt_says_how_to_resume():
    shown = explain_interrupt([Path("a.ipynb"), Path("b.ipynb")], 'step 3, "Training"')
    assert 'a.ipynb was interrupted at step 3, "Training".' in shown
    assert "make run NOTEBOOKS='a.ipynb b.ipynb'" in shown


def explained(name: str, message: str, traceback: list[str]) -> str:
    error = PapermillExecutionError(4, 2, "", name, message, traceback)
    return explain_error(error, [Path("a.ipynb")], Path(".a.partial.ipynb"), 'step 3, "Training"')


def test_an_error_shows_its_last_lines_without_colours():
    traceback = [f"frame {i}\n\x1b[31mline {i}\x1b[0m" for i in range(20)]
    shown = explained("KeyError", "'x'", [*traceback, "KeyError: 'x'"])
    assert 'a.ipynb failed at step 3, "Training":' in shown
    assert "  line 19\n  KeyError: 'x'\n" in shown
    assert "line 10\n" not in shown
    assert "\x1b" not in shown
    assert ".a.partial.ipynb" in shown
    assert "make run NOTEBOOKS=a.ipynb" in shown


def test_an_error_of_the_project_is_one_sentence():
    assert {"RunError", "WriteError", "CorpusFormatError", "TrainingError"} <= project_errors()
    shown = explained("RunError", "no run in models: run its notebook first", ["frame", "RunError: no run in models"])
    assert 'failed at step 3, "Training":\n  no run in models: run its notebook first\nThe outputs so far' in shown
    assert "frame" not in shown
