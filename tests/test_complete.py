"""The terminal command `python -m src.complete`."""

import io
import json
import os
import pty
import select
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from src.complete import main
from src.completion import Completer
from src.deploy.device import DEVICE_DIR, DeviceLM
from src.deploy.export import export_onnx
from src.deploy.onnx_lstm import INT8_FILE, OnnxLSTM
from src.lstm_model import load_lstm_lm, save_lstm_lm
from src.runs import best_run, describe_run, run_metadata
from src.text.calibration import CALIBRATION_FILE
from src.text.offensive import offensive_words

ROOT = Path(__file__).resolve().parent.parent
MODELS = str(ROOT / "models")


@pytest.fixture
def two_runs(tmp_path, tiny_lstm, tokenizer):
    """A folder with the best run of this project and a weak one, made later from a corpus with a name of its own."""
    good = best_run("lstm_lm", models_dir=MODELS)
    shutil.copytree(good, tmp_path / good.name, ignore=shutil.ignore_patterns("*.onnx"))
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


def start_command(*arguments, term="dumb", **streams):
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "TERM": term}
    command = [sys.executable, "-B", "-m", "src.complete", *arguments]
    return subprocess.Popen(command, cwd=ROOT, env=environment, **streams)


def run_command(*arguments, stdin=b""):
    process = start_command(*arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = process.communicate(stdin)
    return subprocess.CompletedProcess(arguments, process.returncode, out.decode(), err.decode())


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


@pytest.fixture(scope="session")
def exported(tmp_path_factory, tiny_lstm, tokenizer):
    """The folder of an exported run that completes first words."""
    run_dir = tmp_path_factory.mktemp("models") / "lstm_lm-20260101-000000"
    run_dir.mkdir()
    data = {"name": "tweets", "source": "tweets.csv", "sha256": "0", "counts": {"train": 9}}
    save_lstm_lm(run_dir, tiny_lstm, tokenizer, run_metadata("lstm_lm", {}, data, {}, duration=1.0), [])
    export_onnx(run_dir)
    return run_dir


def test_the_export_answers_where_there_is_one(exported, capsys):
    main(["the weather", "-n", "3", "--models-dir", str(exported.parent)])
    printed = capsys.readouterr()
    [suggestions] = OnnxLSTM(exported).complete(["the weather"], 3)
    assert printed.out.splitlines() == [one.text for one in suggestions]
    assert len({one.text.split()[0] for one in suggestions}) == 3
    assert printed.err == f"int8 export of {describe_run(exported)}\n"


def test_the_export_with_n_grams_answers_first(exported, tmp_path, capsys):
    run_dir = shutil.copytree(exported, tmp_path / exported.name)
    folder = shutil.copytree(best_run("lstm_lm", models_dir=MODELS) / DEVICE_DIR, run_dir / DEVICE_DIR)
    main(["the weather", "-n", "3", "--run", str(run_dir)])
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [one.text for one in DeviceLM(folder).complete(["the weather"], 3)[0]]
    assert printed.err == f"int8 export with n-grams of {describe_run(run_dir)}\n"
    (folder / "ngrams.bin").write_bytes(b"no n-grams")
    main(["the weather", "--run", str(run_dir)])
    sentence, about = capsys.readouterr().err.splitlines()
    assert sentence.startswith("The int8 export with n-grams can't be used, another form answers: ")
    assert about == f"int8 export of {describe_run(run_dir)}"


def test_offensive_words_are_left_out_unless_they_are_allowed(exported, monkeypatch, capsys):
    def answer(*arguments):
        main(["the weather", "-n", "3", "--run", str(exported), *arguments])
        return capsys.readouterr().out.splitlines()

    unfiltered = answer()
    listed = unfiltered[0].split()[0]
    monkeypatch.setattr("src.complete.offensive_words", lambda: frozenset({listed}))
    filtered = answer()
    assert len(filtered) == 3 and all(listed not in line.split() for line in filtered)
    assert answer("--allow-offensive-words") == unfiltered


def test_a_missing_list_of_words_is_one_sentence(exported, monkeypatch):
    monkeypatch.setattr("src.text.offensive.files", lambda name: Path("/nowhere"))
    offensive_words.cache_clear()
    with pytest.raises(SystemExit, match=r"^The list of offensive words can't be read: run `pip install .*`, or allow"):
        main(["the weather", "--run", str(exported)])
    main(["the weather", "--run", str(exported), "--allow-offensive-words"])


def test_torch_answers_if_the_export_cannot_be_used(exported, tmp_path, capsys):
    run_dir = shutil.copytree(exported, tmp_path / exported.name)
    (run_dir / INT8_FILE).write_bytes(b"not a model")
    main(["the weather", "-n", "3", "--run", str(run_dir)])
    printed = capsys.readouterr()
    assert printed.out.splitlines() == answers(run_dir, "the weather", 3)
    sentence, about = printed.err.splitlines()
    assert sentence.startswith("The int8 export can't be used, another form answers: ")
    assert about == describe_run(run_dir)


def test_torch_is_not_loaded_for_an_export(exported):
    code = "import sys; import src.complete; src.complete.main(); assert not {'torch', 'pandas'} & set(sys.modules)"
    command = [sys.executable, "-B", "-c", code, "the weather", "--run", str(exported)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)


def test_each_line_of_a_pipe_is_a_prefix(exported):
    lines = ["The weather TODAY", "", "naïve\u2028☕ tea\r", "i want to go", "good m "]
    done = run_command("-n", "3", "--run", str(exported), stdin="\n".join(lines).encode())
    assert done.returncode == 0
    assert done.stderr == f"int8 export of {describe_run(exported)}\n"
    found = OnnxLSTM(exported).complete(lines, 3)
    assert done.stdout == "".join("\t".join(one.text for one in suggestions) + "\n" for suggestions in found)
    half_typed = run_command("--half-typed", "--run", str(exported), stdin=b"good m\nto\n")
    found = OnnxLSTM(exported).complete(["good m", "to"], 1, half_typed=True)
    assert half_typed.stdout.splitlines() == [one.text for [one] in found]
    empty = run_command("--run", str(exported), stdin=b"")
    assert empty.returncode == 0 and empty.stdout == ""


def test_a_line_that_cannot_be_completed_is_named(exported):
    lines = ["the weather", "!?", "привет", "☕", "to"]
    piped = "\n".join(lines).encode() + b"\ncaf\xe9 the\nagain\n"
    done = run_command("--run", str(exported), stdin=piped)
    assert done.returncode == 1
    # A line without any letter is an empty prefix, which this run completes.
    assert [line != "" for line in done.stdout.splitlines()] == [True, True, False, True, True, False, True]
    _, *sentences = done.stderr.splitlines()
    letters = r"\u043f\u0440\u0438\u0432\u0435\u0442"
    assert sentences == [
        f"line 3 ('{letters}') has no letters a to z or digits 0 to 9 outside mentions and URLs: "
        "give at least one word of them",
        "line 6 is not UTF-8 (byte 4): convert it to UTF-8",
    ]


def test_a_run_without_first_words_names_empty_and_half_typed_lines(exported, tmp_path, capsys, monkeypatch):
    run_dir = shutil.copytree(exported, tmp_path / exported.name)
    special_tokens = json.loads((run_dir / "special_tokens_map.json").read_text())
    del special_tokens["bos_token"]
    (run_dir / "special_tokens_map.json").write_text(json.dumps(special_tokens))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"the weather\n\nthe\n")))
    with pytest.raises(SystemExit) as done:
        main(["--half-typed", "--run", str(run_dir)])
    assert done.value.code == 1
    printed = capsys.readouterr()
    assert [line != "" for line in printed.out.splitlines()] == [True, False, False]
    _, empty, half_typed = printed.err.splitlines()
    assert empty.startswith("line 2 ('') has no word, and this model was not trained to complete a first word")
    assert half_typed.startswith("line 3 ('the') has no complete word before the half-typed 'the'")


def test_each_line_is_answered_before_the_next_is_read(exported):
    with start_command("--run", str(exported), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        for prefix in ("the weather", "i want"):
            process.stdin.write(f"{prefix}\n".encode())
            process.stdin.flush()
            [[one]] = OnnxLSTM(exported).complete([prefix])
            assert process.stdout.readline().decode() == f"{one.text}\n"
        process.stdin.close()
        assert process.wait() == 0


def test_a_closed_pipe_is_quiet(exported):
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with start_command("--run", str(exported), **streams) as process:
        process.stdout.close()
        process.stdin.write(b"the weather\n" * 3)
        process.stdin.close()
        assert process.stderr.read().decode() == f"int8 export of {describe_run(exported)}\n"
        assert process.wait() == 0


def in_terminal(*arguments, term, keys):
    """Run the command in a terminal. Press keys, each after a text has appeared; return all that appeared."""
    ours, theirs = pty.openpty()
    appeared = ""
    with start_command(*arguments, term=term, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        waiting = list(keys)
        try:
            while select.select([ours], [], [], 60)[0] and (read := os.read(ours, 1024)):
                appeared += read.decode()
                if waiting and waiting[0][0] in appeared:
                    os.write(ours, waiting.pop(0)[1])
            process.kill()
        except OSError:
            pass  # So Linux says that the command has ended.
        assert process.wait() == 0 and not waiting, appeared
    os.close(ours)
    return appeared


@pytest.mark.slow
@pytest.mark.parametrize("leave", [b"\x04", b"\x03"])
def test_a_terminal_becomes_an_editor(exported, leave):
    first = OnnxLSTM(exported).complete([""], 3, half_typed=True)[0][0].text
    steps = [("Alt+1", b"\t\r"), (" saved (", leave)]
    appeared = in_terminal("--run", str(exported), term="xterm", keys=steps)
    assert "Tab or the right arrow takes the first suggestion" in appeared
    assert f"{len(first)} characters, 1 keys: {len(first) - 1} saved" in appeared
    assert not [bad for bad in ("Traceback", "WARNING", "can't complete a first word") if bad in appeared]


def test_a_dumb_terminal_answers_lines(exported):
    [[one]] = OnnxLSTM(exported).complete(["the weather"])
    steps = [("Ctrl+D leaves", b"the weather\n"), (f"\n{one.text}", b"\x04")]
    appeared = in_terminal("--run", str(exported), term="dumb", keys=steps)
    assert "Enter completes a line, Ctrl+D leaves." in appeared
    assert f"\n{one.text}\r\n" in appeared and "\x1b" not in appeared


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["مرحبا", "--models-dir", MODELS], "has no letters a to z or digits 0 to 9"),
        (["the weather", "-n", "0", "--models-dir", MODELS], "n is 0: ask for at least one suggestion"),
        (["-n", "0", "--models-dir", MODELS], "n is 0: ask for at least one suggestion"),
        (["--models-dir", "nowhere"], "no lstm_lm run in nowhere"),
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
