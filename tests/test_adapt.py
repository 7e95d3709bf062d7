"""The command `make adapt`: made-up tweets in, a run folder out, before and after, and nothing else left."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest
import torch

import src.adapt
from src.adapt import ADAPTATION_FILE, CHECKPOINTS, MIN_MEASURED, SEED, closing_lines, main, only_command, verdict
from src.adaptation import first_run_record, seen_texts
from src.complete import load_completer
from src.completion import GREEDY
from src.corpus.load import load_corpus
from src.data_utils import prepare_tweets
from src.deploy.device import DEVICE_DIR, DeviceLM
from src.evaluation.intervals import Estimate
from src.files import WriteError
from src.lstm_model import load_lstm_lm, save_lstm_lm
from src.recipe import build_device
from src.runs import RunError, read_meta, run_metadata
from src.text.cleaning import clean_string
from src.training.trainer import ProgressBar

ROOT = Path(__file__).resolve().parent.parent
FIRST = "lstm_lm-20260101-000000"
SPLITS = ("train", "val", "test")


@pytest.fixture(scope="module")
def first_models(tiny_lstm, tokenizer, cleaned_texts, tmp_path_factory) -> Path:
    """A models folder that holds a tiny first run with its folder `device`."""
    models_dir = tmp_path_factory.mktemp("first")
    run_dir = models_dir / FIRST
    run_dir.mkdir()
    data = {"name": "tweets", "source": "others.csv", "sha256": "0", "counts": {"train": 80}}
    settings = {"decoding": {"method": GREEDY.method}}
    save_lstm_lm(run_dir, tiny_lstm, tokenizer, run_metadata("lstm_lm", settings, data, {}, duration=1.0), [])
    seen_texts(cleaned_texts).save(run_dir)
    build_device(run_dir, cleaned_texts, cleaned_texts[:10], order=3, typed_tweets=4)
    return models_dir


@pytest.fixture
def models_dir(first_models, tmp_path) -> Path:
    return shutil.copytree(first_models, tmp_path / "models")


def own_tweets(number: int) -> list[str]:
    """Different made-up sentences, much alike, of which the first run has read none."""
    choices = (("cat", "dog", "bus"), ("bakery", "beach", "library", "exam"), ("rain", "tea", "coffee"))
    all_tweets = [f"My {a} never wants to go to the {b} on a {c} day!" for a, b, c in product(*choices)]
    all_tweets += [f"So happy about the {b} and the {c} but not the {a}" for a, b, c in product(*choices)]
    all_tweets += [f"We love {c} at the {b} with your {a} today..." for a, b, c in product(*choices)]
    return random.Random(0).sample(all_tweets, number)


def write_text(path: Path, tweets: list[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(tweets) + "\n", encoding="utf-8")
    return path


def write_archive(path: Path, tweets: list[str]) -> Path:
    entries = [{"tweet": {"full_text": text, "created_at": "Wed Jan 01 12:00:00 +0000 2020"}} for text in tweets]
    return write_text(path, [f"window.YTD.tweets.part0 = {json.dumps(entries)}"])


def write_csv(path: Path, tweets: list[str]) -> Path:
    return write_text(path, ["number,words", *(f"{i},{text}" for i, text in enumerate(tweets))])


def adapt(path: Path, models_dir: Path, *arguments: str) -> None:
    main([str(path), "--models-dir", str(models_dir), "--from", FIRST, *arguments])


def new_run_in(models_dir: Path) -> Path:
    """The one folder that was added."""
    [run_dir] = [path for path in models_dir.iterdir() if path.name != FIRST]
    return run_dir


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# What the command does


@pytest.fixture(scope="module")
def adapted(first_models, tmp_path_factory):
    """What one call printed, and the folder of its run: 80 tweets of an archive, 8 of them test tweets."""
    folder = tmp_path_factory.mktemp("adapted")
    models_dir = shutil.copytree(first_models, folder / "models")
    path = write_archive(folder / "my tweets" / "data" / "tweets.js", own_tweets(80))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        lines = []
        patch.setattr(src.adapt, "say", lambda *said: lines.extend(said))
        adapt(path, models_dir)
    return folder, "\n".join(lines), new_run_in(models_dir)


def test_the_result_is_a_run_that_names_the_run_it_started_from(adapted, first_models):
    _, _, run_dir = adapted
    meta = read_meta(run_dir)
    assert meta["name"] == "lstm_lm"
    assert meta["init_from"] == first_run_record(first_models / FIRST, meta["init_from"]["trained_share"])
    assert meta["data"]["source"] == "tweets.js" and [meta["data"]["counts"][split] for split in SPLITS] == [64, 8, 8]
    assert meta["settings"]["decoding"]["method"] == "greedy"
    before, after = (load_lstm_lm(path, device="cpu")[1].state_dict() for path in (first_models / FIRST, run_dir))
    assert before.keys() == after.keys() and not all(map(torch.equal, before.values(), after.values()))
    assert len(DeviceLM(run_dir / DEVICE_DIR).complete(["my"], 3)[0]) == 3


def test_only_the_run_folder_is_added_and_the_first_run_is_unchanged(adapted, first_models):
    folder, _, run_dir = adapted
    assert {path.name for path in folder.iterdir()} == {"models", "my tweets"}
    assert {path.name for path in (folder / "models").iterdir()} == {FIRST, run_dir.name}
    assert files_in(folder / "models" / FIRST) == files_in(first_models / FIRST)
    assert [path.name for path in (folder / "my tweets").rglob("*") if path.is_file()] == ["tweets.js"]
    assert not [path for path in run_dir.rglob("*") if "partial" in path.name or "checkpoint" in path.name]


def test_every_step_says_one_line(adapted):
    _, printed, _ = adapted
    assert printed.splitlines()[:5] == [
        "tweets.js: 80 rows. Different tweets of two words or more: 64 training, 8 validation, 8 test.",
        f"Starting from {FIRST}.",
        "Training on 64 tweets, at most 8 times each.",
        "Saving the model and counting n-grams.",
        "Measuring before and after.",
    ]


def test_before_and_after_are_printed_and_recorded(adapted):
    _, printed, run_dir = adapted
    record = json.loads((run_dir / ADAPTATION_FILE).read_text())
    assert record["pairs"] == record["typing"]["systems"]["after"]["tweets"] == 8
    assert record["seed"] == 0 and record["first_run"] == FIRST and record["data"] == read_meta(run_dir)["data"]
    saved = [
        record["typing"]["systems"][name]["word"]["3"]["metrics"]["keys_saved"]["value"] for name in ("before", "after")
    ]
    more = record["typing"]["systems"]["after"]["word"]["3"]["more_keys_saved"]
    assert more["value"] == pytest.approx(saved[1] - saved[0]) and more["low"] <= more["value"] <= more["high"]
    for name in ("next_word", "perplexity_per_word"):
        before, after = (record["systems"][system]["metrics"][name]["value"] for system in ("before", "after"))
        assert record["changes"][name]["value"] == pytest.approx(after - before)
    # The tweets are so much alike that a few passes are enough.
    assert record["changes"]["perplexity_per_word"]["high"] < 0
    table = printed.split("On your own test tweets (8 typed and 8 completed):\n")[1].split("\n\n")[0].splitlines()
    assert all(len(line) <= 80 for line in table[:-1])
    titles = ("keys saved, 3 suggestions", "next-word accuracy", "perplexity per word")
    assert [line[:25].strip() for line in table[1:-1]] == list(titles)
    assert table[-1] == verdict(Estimate(**more))
    assert table[1][25:].split()[:3] == [f"{saved[0]:.3f}", f"{saved[1]:.3f}", f"{more['value']:.3f}"]


@pytest.mark.parametrize(
    ("low", "high", "n", "said"),
    [
        (0.01, 0.05, 100, "saves more keys"),
        (-0.05, -0.01, 100, "saves fewer keys"),
        (-0.01, 0.02, 100, "is not clear: the interval includes 0."),
        (0.01, 0.05, 29, "is not clear: fewer than 30 tweets were typed."),
        (-0.05, -0.01, 29, "is not clear: fewer than 30 tweets were typed."),
    ],
)
def test_the_verdict_follows_the_interval_if_there_are_enough_tweets(low, high, n, said):
    assert said in verdict(Estimate((low + high) / 2, low, high, n))


def test_three_test_tweets_are_completed_before_and_after(adapted, first_models):
    _, printed, run_dir = adapted
    shown = re.findall(r"  (.+) \.\.\.\n    you: (.+)\n    before: (.+)\n    after: (.+)\n", printed)
    own = list(map(clean_string, own_tweets(80)))
    assert len(shown) == 3 and all(f"{prefix} {rest}" in own for prefix, rest, _, _ in shown)
    for i, run in ((2, first_models / FIRST), (3, run_dir)):
        model = DeviceLM(run / DEVICE_DIR)
        assert [one[i] for one in shown] == [model.complete([one[0]])[0][0].text for one in shown]


def test_the_share_of_recited_tweets_is_printed_and_recorded(adapted):
    _, printed, run_dir = adapted
    recited = json.loads((run_dir / ADAPTATION_FILE).read_text())["recited"]
    assert {split: {one["n"] for one in shares.values()} for split, shares in recited.items()} == {
        "training": {64},
        "test": {8},
    }
    assert all(0 <= share["value"] <= 1 for shares in recited.values() for share in shares.values())
    assert "  64 training tweets: before 0.000 (0.000 to 0.000), after " in printed
    assert "  8 test tweets: before 0.000 (0.000 to 0.000), after " in printed


def test_no_tweet_is_in_the_record(adapted):
    _, _, run_dir = adapted
    record = (run_dir / ADAPTATION_FILE).read_text().lower()
    for text in own_tweets(80):
        words = clean_string(text).split(" ")
        assert all(" ".join(words[i : i + 3]) not in record for i in range(len(words) - 2))


def test_the_printed_commands_name_the_run_and_delete_it(adapted):
    folder, printed, run_dir = adapted
    models_dir = folder / "models"
    for name in ("complete", "demo"):
        command = f"  .venv/bin/python -m src.{name} --run {run_dir.name} --models-dir {models_dir}"
        assert command in printed.splitlines()
    assert printed.splitlines()[-1] == f"  rm -r {run_dir}"
    completer, about = load_completer(run_dir)
    assert isinstance(completer, DeviceLM) and "trained on 64 tweets of own-tweets (tweets.js)" in about


def test_a_run_that_started_from_an_adapted_run_says_that_it_holds_earlier_tweets(adapted, first_models):
    folder, printed, run_dir = adapted
    holds = f"It also holds what {run_dir.name} has learned, and runs that start from this one will hold your tweets."
    assert closing_lines(folder / "models" / "lstm_lm-2", run_dir).count(holds) == 1
    assert "It also holds" not in printed


# Formats and sizes


@pytest.mark.parametrize("number", [10, 30])
def test_a_few_lines_of_text_are_enough(models_dir, tmp_path, capsys, number):
    adapt(write_text(tmp_path / "tweets.txt", own_tweets(number)), models_dir)
    run_dir = new_run_in(models_dir)
    record = json.loads((run_dir / ADAPTATION_FILE).read_text())
    assert record["data"]["counts"]["test"] == number // 10 < MIN_MEASURED
    assert "changes" not in record and "test" not in record["recited"]
    printed = capsys.readouterr().out
    assert "Scores before and after: too few test tweets of four words (at least 5 are needed)." in printed
    assert printed.count("    after: ") == number // 10 and f"--run {run_dir.name}" in printed


def test_short_tweets_are_enough(models_dir, tmp_path, capsys):
    pairs = [f"{a} {b}" for a in ("good", "bad", "happy") for b in ("morning", "evening", "day", "week")]
    adapt(write_text(tmp_path / "tweets.txt", pairs), models_dir)
    printed = capsys.readouterr().out
    assert "Completions before and after: no test tweet has 6 words." in printed
    assert "Recited tweets: too few tweets of 6 words (at least 5 are needed)." in printed


def test_the_column_of_a_table_is_named(models_dir, tmp_path, capsys):
    path = write_csv(tmp_path / "tweets.csv", own_tweets(20))
    with pytest.raises(
        SystemExit, match=r"set --text-column \(TEXT_COLUMN of make\) if the file has another"
    ) as stopped:
        adapt(path, models_dir)
    assert stopped.value.code.count("\n") == 0 and [one.name for one in models_dir.iterdir()] == [FIRST]
    adapt(path, models_dir, "--text-column", "words")
    assert read_meta(new_run_in(models_dir))["data"]["counts"]["train"] == 16


@pytest.mark.parametrize(
    ("name", "lines", "said"),
    [
        (
            "tweets.csv",
            ["number,words", *(f"{i},{text}" for i, text in enumerate(own_tweets(40))), "short", "5,", "short"],
            [
                "Bad rows, not used: 2. The first is line 42: 1 columns instead of 2.",
                "Rows left out: 1 (without text).",
            ],
        ),
        (
            "tweets.jsonl",
            [*(json.dumps({"words": text}) for text in own_tweets(40)), '{"words": "cut'],
            ["Bad rows, not used: 1. The first is line 41: no JSON object with the field 'words'."],
        ),
    ],
)
def test_rows_that_are_not_used_are_said(models_dir, tmp_path, capsys, monkeypatch, name, lines, said):
    assert printed_before_training(write_text(tmp_path / name, lines), models_dir, capsys, monkeypatch, "words") == said


def test_retweets_that_are_left_out_are_said(models_dir, tmp_path, capsys, monkeypatch):
    path = write_archive(tmp_path / "tweets.js", [*own_tweets(40), "RT @bob: good morning", "RT @bob: good night"])
    assert printed_before_training(path, models_dir, capsys, monkeypatch) == ["Rows left out: 2 (retweets)."]


def printed_before_training(path, models_dir, capsys, monkeypatch, text_column=None) -> list[str]:
    """What is printed between the number of tweets and the first run."""
    monkeypatch.setattr(src.adapt, "train", lambda *_: sys.exit(0))
    with pytest.raises(SystemExit):
        adapt(path, models_dir, *(["--text-column", text_column] if text_column else []))
    first, *said, last = capsys.readouterr().out.splitlines()
    assert "32 training, 4 validation, 4 test." in first and last == f"Starting from {FIRST}."
    return said


# Interruptions

KILLED = """
import os, signal, sys
from src.adapt import main
from src.training.trainer import ProgressBar
saved = iter(range(2))
def on_save(*_, **__):
    if next(saved, None) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
ProgressBar.on_save = on_save
main(sys.argv[1:])
"""


def weights(run_dir: Path) -> dict[str, torch.Tensor]:
    return load_lstm_lm(run_dir, device="cpu")[1].state_dict()


@pytest.mark.slow
def test_a_killed_command_resumes_and_ends_with_the_same_weights(adapted, models_dir, capsys):
    folder, _, expected = adapted
    [path] = folder.glob("my tweets/data/tweets.js")
    command = [sys.executable, "-c", KILLED, str(path), "--models-dir", str(models_dir), "--from", FIRST]
    killed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": "."})
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert {one.name for one in models_dir.iterdir()} == {FIRST, CHECKPOINTS}
    last = max(int(one.name.split("-")[1]) for one in (models_dir / CHECKPOINTS).glob("*/training/checkpoint-*"))
    steps = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ProgressBar, "on_step_begin", lambda self, args, state, *_, **__: steps.append(state.global_step))
        adapt(path, models_dir)
    assert steps[0] == last > 0 and f"\nTraining was resumed at step {last}.\n" in capsys.readouterr().out
    run_dir = new_run_in(models_dir)
    assert all(map(torch.equal, weights(run_dir).values(), weights(expected).values()))
    records = [json.loads((one / ADAPTATION_FILE).read_text()) for one in (run_dir, expected)]
    assert records[0]["changes"] == records[1]["changes"] and records[0]["recited"] == records[1]["recited"]


@pytest.mark.slow
@pytest.mark.parametrize("step", ["save_run", "build_device", "measure"])
def test_after_ctrl_c_nothing_is_trained_again(adapted, models_dir, capsys, step):
    folder, _, expected = adapted
    [path] = folder.glob("my tweets/data/tweets.js")

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as stopped:
        patch.setattr(src.adapt, step, interrupt)
        adapt(path, models_dir)
    assert stopped.value.code == 130
    [unfinished] = (models_dir / CHECKPOINTS).iterdir()
    sentence = f"To give up, delete {unfinished}."
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"Interrupted. Run the same command again: training resumes from its last evaluation. {sentence}"
    )
    assert {one.name for one in models_dir.iterdir()} == {FIRST, CHECKPOINTS}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ProgressBar, "on_step_begin", lambda *_, **__: pytest.fail("trained again"))
        adapt(path, models_dir)
    assert all(map(torch.equal, weights(new_run_in(models_dir)).values(), weights(expected).values()))


@pytest.fixture
def interrupted(models_dir, tmp_path, monkeypatch) -> tuple[Path, dict[str, bytes]]:
    """A file of tweets whose adaptation was interrupted after training, and what this has left."""
    path = write_text(tmp_path / "first.txt", own_tweets(20))

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(src.adapt, "save_run", interrupt)
        adapt(path, models_dir)
    return path, files_in(models_dir / CHECKPOINTS)


def test_adapting_to_other_tweets_keeps_the_checkpoints_of_an_interrupted_command(
    models_dir, tmp_path, interrupted, monkeypatch
):
    path, left = interrupted
    assert any("checkpoint-" in name or "result" in name for name in left)
    adapt(write_text(tmp_path / "second.txt", own_tweets(30)[20:]), models_dir)
    assert files_in(models_dir / CHECKPOINTS) == left
    # A run that is finished in the same second would get the same name.
    [other] = {one.name for one in models_dir.iterdir()} - {FIRST, CHECKPOINTS}
    (models_dir / other).rename(tmp_path / other)
    monkeypatch.setattr(ProgressBar, "on_step_begin", lambda *_, **__: pytest.fail("trained again"))
    monkeypatch.chdir(tmp_path)
    adapt(Path(path.name), models_dir)
    assert not (models_dir / CHECKPOINTS).exists()


def test_ctrl_c_before_training_says_that_nothing_was_begun_whatever_another_command_has_left(
    models_dir, tmp_path, interrupted, monkeypatch, capsys
):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(src.adapt, "load_corpus", interrupt)
    with pytest.raises(SystemExit):
        adapt(write_text(tmp_path / "second.txt", own_tweets(20)), models_dir)
    assert capsys.readouterr().err.splitlines()[-1] == "Interrupted. Nothing was begun."
    assert files_in(models_dir / CHECKPOINTS) == interrupted[1]


def test_ctrl_c_before_training_leaves_nothing(models_dir, tmp_path, monkeypatch, capsys):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(src.adapt, "load_corpus", interrupt)
    with pytest.raises(SystemExit) as stopped:
        adapt(write_text(tmp_path / "tweets.txt", own_tweets(20)), models_dir)
    assert stopped.value.code == 130 and [one.name for one in models_dir.iterdir()] == [FIRST]
    assert capsys.readouterr().err.splitlines()[-1] == "Interrupted. Nothing was begun."


# What can go wrong


def refusal(path: Path, models_dir: Path, *arguments: str) -> str:
    """The sentence with which the command ends; it has changed nothing."""
    with pytest.raises(SystemExit) as stopped:
        adapt(path, models_dir, *arguments)
    assert [one.name for one in models_dir.iterdir()] == [FIRST]
    assert "\n" not in stopped.value.code
    return stopped.value.code


def test_tweets_that_the_first_run_has_read_are_refused(models_dir, tmp_path, cleaned_texts):
    sentence = refusal(write_text(tmp_path / "tweets.txt", cleaned_texts), models_dir)
    advice = "adapt the run that this project comes with again, with all tweets (leave out --from)"
    assert sentence == f"{FIRST} has read 8 of the 8 test tweets: {advice}"


def test_tweets_that_the_run_of_this_project_has_read_are_refused(models_dir, tmp_path, cleaned_texts, monkeypatch):
    for module in (src.adapt, src.adaptation):
        monkeypatch.setattr(module, "COMMITTED_RUN", models_dir / FIRST)
    path = write_text(tmp_path / "tweets.txt", cleaned_texts)
    advice = "give other tweets, which it has not read"
    assert refusal(path, models_dir, "--from", "committed") == f"{FIRST} has read 8 of the 8 test tweets: {advice}"


def test_a_test_tweet_that_the_first_run_has_read_is_left_out(models_dir, tmp_path, capsys, monkeypatch):
    path = write_text(tmp_path / "tweets.txt", own_tweets(40))
    tweets = prepare_tweets(load_corpus(path), SEED)
    seen_texts([tweets.texts("test")[0], tweets.texts("val")[0]]).save(models_dir / FIRST)
    monkeypatch.setattr(src.adapt, "train", lambda *_: sys.exit(0))
    with pytest.raises(SystemExit):
        adapt(path, models_dir)
    assert capsys.readouterr().out.splitlines() == [
        "tweets.txt: 40 rows. Different tweets of two words or more: 32 training, 3 validation, 3 test.",
        f"Starting from {FIRST}.",
        f"Validation and test tweets that {FIRST} has read are left out: 2.",
    ]


def test_tweets_in_another_script_are_refused_with_the_reason(models_dir, tmp_path):
    tweets = [f"Доброе утро всем номер {chr(1072 + i) * 4}" for i in range(20)]
    sentence = refusal(write_text(tmp_path / "tweets.txt", tweets), models_dir)
    kept = "only the letters a to z (accented letters are written plainly) and digits"
    assert sentence.endswith(f". Cleaning keeps {kept}, so tweets in other scripts are lost")
    assert "only 0 distinct tweets" in sentence


HOLDER = """
import fcntl, sys
file = open(sys.argv[1], "w")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_command_in_the_same_folder_ends_at_once_and_touches_nothing(models_dir, tmp_path):
    path = write_text(tmp_path / "tweets.txt", own_tweets(20))
    write_text(models_dir / CHECKPOINTS / "training" / "training.json", ["{}"])
    command = [sys.executable, "-c", HOLDER, str(models_dir / CHECKPOINTS / ".lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        before = files_in(models_dir)
        with pytest.raises(SystemExit) as stopped:
            adapt(path, models_dir)
        other.kill()
    advice = "wait for it, or give another folder with --models-dir"
    # As a text, it ends the process with status 1.
    assert stopped.value.code == f"another make adapt is running in {models_dir}: {advice}"
    assert files_in(models_dir) == before
    # The lock of a killed process does not block.
    with only_command(models_dir) as folder:
        assert (folder / "training").exists()
    assert [one.name for one in (models_dir / CHECKPOINTS).iterdir()] == ["training"]


def test_the_folder_is_locked_until_the_end(models_dir, tmp_path, monkeypatch):
    refused = []

    def try_another(*_, **__):
        with pytest.raises(RunError, match="another make adapt is running"), only_command(models_dir):
            pass
        refused.append(True)
        return {}

    for step in ("measure", "recited_shares"):
        monkeypatch.setattr(src.adapt, step, try_another)
    adapt(write_text(tmp_path / "tweets.txt", own_tweets(10)), models_dir)
    assert len(refused) == 2 and {one.name for one in models_dir.iterdir()} == {FIRST, new_run_in(models_dir).name}


def test_a_models_folder_that_cannot_be_written_is_refused_before_training(models_dir, tmp_path, monkeypatch):
    path = write_text(tmp_path / "tweets.txt", own_tweets(20))
    monkeypatch.setattr(src.adapt, "load_corpus", lambda *_, **__: pytest.fail("read the tweets first"))
    (tmp_path / "a file").touch()
    with pytest.raises(SystemExit) as stopped:
        main([str(path), "--models-dir", str(tmp_path / "a file" / "models")])
    folder, advice = tmp_path / "a file" / "models", "give another folder with --models-dir"
    assert stopped.value.code == f"{folder} can't be written (Not a directory): {advice}"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            PermissionError(13, "Permission denied", "data/tweets.js"),
            "data/tweets.js can't be used (Permission denied)",
        ),
        (WriteError(28, "models can't be written: free some space"), "models can't be written: free some space"),
        (FileNotFoundError("There is no tweets.js"), "There is no tweets.js"),
    ],
)
def test_no_error_number_is_printed(models_dir, tmp_path, monkeypatch, error, said):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(src.adapt, "load_corpus", fail)
    assert refusal(write_text(tmp_path / "tweets.txt", own_tweets(20)), models_dir) == said


def test_a_wrong_path_a_wrong_run_and_too_few_tweets_are_refused(models_dir, tmp_path):
    missing = tmp_path / "no tweets.js"
    assert (
        refusal(missing, models_dir) == f"There is no {missing}: give the file of your tweets, such as data/tweets.js"
    )
    path = write_text(tmp_path / "tweets.txt", own_tweets(9))
    assert "only 9 distinct tweets of two words or more are left" in refusal(path, models_dir)
    path = write_text(tmp_path / "more.txt", own_tweets(20))
    assert refusal(path, models_dir, "--from", "lstm_lm-none").startswith("there is no run 'lstm_lm-none'")


def test_an_empty_path_and_an_unknown_home_are_refused(models_dir, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_text(tmp_path / "private.csv", ["a,b"])
    advice = "give the file of your tweets, such as data/tweets.js"
    arguments = ["--models-dir", str(models_dir), "--from", FIRST]
    for path, said in (("", "No file was named"), ("~nouser/x", "There is no ~nouser/x")):
        with pytest.raises(SystemExit) as stopped:
            main([path, *arguments])
        assert stopped.value.code == f"{said}: {advice}"


def test_a_first_run_without_n_grams_is_refused_before_training(models_dir, tmp_path):
    path = write_text(tmp_path / "tweets.txt", own_tweets(20))
    shutil.rmtree(models_dir / FIRST / DEVICE_DIR)
    advice = "run compare.ipynb, or src.recipe.build_device, for it first"
    assert refusal(path, models_dir) == f"{models_dir / FIRST} has no folder device: {advice}"


def test_a_folder_that_is_no_run_or_lies_elsewhere_is_refused_first(models_dir, tmp_path, capsys):
    path = write_text(tmp_path / "more" / "tweets.txt", own_tweets(20))
    sentence = refusal(path, models_dir, "--from", str(path.parent))
    assert sentence == f"{path.parent} has no meta.json: it is not a run folder, choose another one"
    other = shutil.copytree(models_dir / FIRST, tmp_path / "other" / FIRST)
    assert "must lie in the models folder" in refusal(path, tmp_path / "other", "--from", str(models_dir / FIRST))
    assert capsys.readouterr().out == "" and other.is_dir()


# make


def make_adapt(folder: Path, *variables: str) -> subprocess.CompletedProcess:
    """Run `make adapt` with a Python that shows its arguments."""
    (folder / "venv" / "bin").mkdir(parents=True)
    for name in ("pip", "python"):
        (folder / "venv" / "bin" / name).write_text("#!/bin/sh\nprintf '<%s>' \"$@\"\n")
        (folder / "venv" / "bin" / name).chmod(0o755)
    (folder / "venv" / "installed").touch()
    command = ["make", "adapt", f"VENV={folder / 'venv'}", *variables]
    # A make that runs these tests sets variables which would change what this one prints.
    unset = ("CORPUS", "TEXT_COLUMN", "MAKEFLAGS", "MFLAGS", "MAKELEVEL")
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)


def test_make_without_a_corpus_says_what_to_give(tmp_path):
    done = make_adapt(tmp_path)
    assert done.returncode != 0
    assert done.stdout == "Name the file of your tweets: make adapt CORPUS=path/to/tweets.js\n"


@pytest.mark.parametrize("path", ["tweets.js", "my tweets (2)/Ada's tweets.js"])
def test_make_gives_path_and_column_as_they_are(tmp_path, path):
    assert make_adapt(tmp_path / "one", f"CORPUS={path}").stdout == f"<-m><src.adapt><{path}>"
    done = make_adapt(tmp_path / "two", f"CORPUS={path}", "TEXT_COLUMN=the text")
    assert done.stdout == f"<-m><src.adapt><{path}><--text-column><the text>"
