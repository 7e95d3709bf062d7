"""The terminal command `python -m src.complete`."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from src.complete import main
from src.completion import Completer
from src.lstm_model import load_lstm_lm, save_lstm_lm
from src.runs import best_run, describe_run, run_metadata
from src.text.calibration import CALIBRATION_FILE

ROOT = Path(__file__).resolve().parent.parent
MODELS = str(ROOT / "models")


@pytest.fixture
def two_runs(tmp_path, tiny_lstm, tokenizer):
    """A folder with the best run of this project and a weak one, made later from a corpus with a name of its own."""
    good = best_run("lstm_lm", models_dir=MODELS)
    shutil.copytree(good, tmp_path / good.name)
    weak = tmp_path / "lstm_lm-29991231-235959"
    weak.mkdir()
    data = {"name": "tweets ☕", "source": "привет.csv", "sha256": "0", "counts": {"train": 5_027}}
    metrics = {"bits_per_character": {"value": 0.5, "low": 0.4, "high": 0.6, "n": 100}}
    save_lstm_lm(weak, tiny_lstm, tokenizer, run_metadata("lstm_lm", {}, data, metrics, duration=1.0), [])
    return tmp_path, good, weak


def answers(run_dir, prefix, n=1, half_typed=False):
    tokenizer, model, _, _ = load_lstm_lm(run_dir, device="cpu")
    [suggestions] = Completer(model, tokenizer).complete([prefix], n, half_typed)
    return [one.text for one in suggestions]


def test_the_best_run_answers_and_is_named(two_runs, capsys):
    models_dir, good, _ = two_runs
    main(["The weather tod", "-n", "3", "--half-typed", "--models-dir", str(models_dir)])
    printed = capsys.readouterr()
    assert printed.out.splitlines() == answers(good, "The weather tod", 3, half_typed=True)
    assert printed.err == describe_run(good) + "\n"
    main(["The weather today", "--models-dir", str(models_dir)])
    assert len(capsys.readouterr().out.splitlines()) == 1


@pytest.mark.parametrize("as_path", [True, False])
def test_another_run_is_chosen_by_its_name_or_folder(two_runs, as_path, capsys):
    models_dir, _, weak = two_runs
    main(["the weather", "--run", str(weak) if as_path else weak.name, "--models-dir", str(models_dir)])
    printed = capsys.readouterr()
    assert printed.out.splitlines() == answers(weak, "the weather")
    assert printed.err == describe_run(weak) + "\n"


def run_command(*arguments):
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-B", "-m", "src.complete", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


@pytest.mark.slow
def test_a_console_that_knows_only_ascii_is_enough(two_runs):
    models_dir, _, weak = two_runs
    done = run_command("naïve ☕ the weather", "--run", weak.name, "--models-dir", str(models_dir))
    assert done.returncode == 0 and done.stdout.isascii()
    assert "Traceback" not in done.stderr
    assert r"trained on 5,027 tweets of tweets \u2615 (\u043f\u0440\u0438\u0432\u0435\u0442.csv)" in done.stderr
    refused = run_command("привет", "--models-dir", str(models_dir))
    assert refused.returncode == 1 and refused.stdout == ""
    assert len(refused.stderr.splitlines()) == 1 and "has no letters a to z" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["!!!", "--models-dir", MODELS], "has no letters a to z or digits 0 to 9"),
        (["مرحبا", "--models-dir", MODELS], "has no letters a to z or digits 0 to 9"),
        (["the weather", "-n", "0", "--models-dir", MODELS], "n is 0: ask for at least one suggestion"),
        (["the weather", "--models-dir", "nowhere"], "no lstm_lm run in nowhere"),
        (["the weather", "--run", "nothing", "--models-dir", MODELS], "there is no run 'nothing': give a folder or a"),
        (["the weather", "--run", str(ROOT / "src")], "has no meta.json: it is not a run folder"),
    ],
)
def test_an_error_is_one_sentence(arguments, problem, capsys):
    with pytest.raises(SystemExit, match=problem):
        main(arguments)
    assert capsys.readouterr() == ("", "")


def test_a_damaged_calibration_is_refused(two_runs, capsys):
    models_dir, _, weak = two_runs
    (weak / CALIBRATION_FILE).write_text('{"slope": 0, "intercept": 0}')
    with pytest.raises(SystemExit, match=r"calibration\.json does not hold a calibration .*: restore the file"):
        main(["the weather", "--run", weak.name, "--models-dir", str(models_dir)])
    assert capsys.readouterr() == ("", "")


def test_the_run_of_a_transformer_is_refused(tmp_path):
    (tmp_path / "distilgpt2-20260101-000000").mkdir()
    (tmp_path / "distilgpt2-20260101-000000" / "meta.json").write_text(json.dumps({"name": "distilgpt2"}))
    with pytest.raises(SystemExit, match="is the run of another model, not of an LSTM: choose another folder"):
        main(["the weather", "--run", "distilgpt2-20260101-000000", "--models-dir", str(tmp_path)])
