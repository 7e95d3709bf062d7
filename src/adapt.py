"""Adapt the LSTM to your own tweets: `python -m src.adapt PATH`, or `make adapt CORPUS=PATH`.

Nothing leaves the machine. Until all is done, everything that is written lies in a folder inside
`models/.checkpoints-adapt`; then the finished run folder is moved to `models` and the rest is deleted.
"""

import argparse
import os
import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from filelock import FileLock, Timeout

from src.adaptation import (
    ADAPTATION,
    ADAPTATION_DROPOUT,
    COMMITTED_RUN,
    FirstRun,
    LeakageError,
    run_with_device,
    start_from,
)
from src.completion.decoding import Decoding
from src.corpus.load import load_corpus
from src.corpus.rows import CorpusFormatError
from src.data_utils import PreparedTweets, corpus_record, prepare_tweets
from src.deploy.device import DEVICE_DIR, DeviceLM
from src.evaluation.evaluate import evaluate, evaluation_texts, paired_difference
from src.evaluation.intervals import Estimate, as_record
from src.evaluation.memorisation import MIN_TEXTS, MIN_WORDS, recitable, recited_shares
from src.evaluation.metrics import METRICS
from src.evaluation.selection import NUM_VAL_TWEETS
from src.evaluation.systems import ModelSystem, OnnxSystem, as_pairs, best_completions
from src.evaluation.typing import TYPING_METRICS, record_suggestions, typing_record
from src.files import WriteError, write_json
from src.recipe import adapt_lstm, build_device, save_run
from src.runs import RunError, find_run, git_commit, library_versions, read_meta
from src.training.trainer import TrainingError

ADAPTATION_FILE = "adaptation.json"
CHECKPOINTS = ".checkpoints-adapt"
MODELS_DIR = "models"
SEED = 0
# Few enough that measuring takes less time than training.
MAX_PAIRS, MAX_TYPED, MAX_RECITED = 300, 100, 200
# A score of fewer texts says too little.
MIN_MEASURED = 5
# With fewer typed tweets, the interval is too unsure for a verdict.
MIN_DECISIVE = 30
NUM_EXAMPLES = 3
SCORES = ("next_word", "perplexity_per_word")


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    # A console that lacks a character of a file name shows its code.
    sys.stdout.reconfigure(errors="backslashreplace")
    try:
        adapt(options)
    except (ValueError, OSError, TrainingError) as error:
        sys.exit(sentence(error))
    except KeyboardInterrupt:
        folder = work_folder(options)
        resume = "Run the same command again: training resumes from its last evaluation. To give up, delete"
        print("\nInterrupted.", f"{resume} {folder}." if folder.exists() else "Nothing was begun.", file=sys.stderr)
        sys.exit(130)


def sentence(error: Exception) -> str:
    """The message of an error, without the number of the operating system's errors."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename} can't be used ({error.strerror})" if error.filename else error.strerror
    return str(error)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m src.adapt",
        description="Adapt the LSTM to your own tweets. Nothing leaves this machine.",
    )
    parser.add_argument("path", help="your tweets: an archive of Twitter (X) or its tweets.js, a text file, a csv, ...")
    parser.add_argument("--text-column", help="the column of the texts in a csv, JSON or parquet file")
    parser.add_argument("--models-dir", default=MODELS_DIR, help="folder of the run folders")
    parser.add_argument(
        "--from",
        dest="first_run",
        metavar="RUN",
        default="committed",
        help="run to start from: a folder, or a name in the models folder; default: the run of this project",
    )
    return parser.parse_args(arguments)


def adapt(options: argparse.Namespace) -> None:
    """Do what the options ask for, and say each step.

    Raises:
        ValueError, OSError, TrainingError: with one sentence that says what is wrong and what to do.
    """
    path, models_dir = Path(os.path.expanduser(options.path)), Path(options.models_dir)
    if not options.path or not path.exists():
        missing = f"There is no {path}" if options.path else "No file was named"
        raise FileNotFoundError(f"{missing}: give the file of your tweets, such as data/tweets.js")
    first_dir = run_with_device(options.first_run, models_dir)
    before = DeviceLM(first_dir / DEVICE_DIR, allow_offensive_words=True)
    with only_command(models_dir):
        folder = work_folder(options)
        first, data = prepare(path, options.text_column, first_dir)
        run_dir, train_texts = train(first, data, folder)
        compare(before, run_dir, train_texts, first, data)
        finished = run_dir.rename(models_dir / run_dir.name)
        shutil.rmtree(folder)
    say(*closing_lines(finished, first_dir))


def work_folder(options: argparse.Namespace) -> Path:
    """The folder for the checkpoints of this command. Each command has its own, so none deletes another's."""
    path = os.path.realpath(os.path.expanduser(options.path))
    command = repr((path, options.text_column, options.first_run))
    return Path(options.models_dir) / CHECKPOINTS / sha256(command.encode()).hexdigest()[:8]


@contextmanager
def only_command(models_dir: Path) -> Iterator[Path]:
    """Make the folder for checkpoints and keep every other command out of it until the block ends.

    The system releases the lock of a killed process. A folder in which nothing was written is removed.

    Raises:
        RunError: another command is running.
        WriteError: the folder can't be written.
    """
    folder = models_dir / CHECKPOINTS
    lock = FileLock(folder / ".lock", timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        advice = "wait for it, or give another folder with --models-dir"
        raise RunError(f"another make adapt is running in {models_dir}: {advice}") from None
    except OSError as error:
        message = f"{models_dir} can't be written ({error.strerror}): give another folder with --models-dir"
        raise WriteError(message) from None
    try:
        yield folder
    finally:
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()
        with suppress(OSError):
            folder.rmdir()


def compare(before: DeviceLM, run_dir: Path, train_texts: list[str], first: FirstRun, data: dict) -> None:
    """Measure the first run and the adapted one; print the result, and write it into the adapted run's folder."""
    after = DeviceLM(run_dir / DEVICE_DIR, allow_offensive_words=True)
    test_texts = first.tweets.texts("test")
    say("Measuring before and after.")
    measured = measure(before, after, test_texts)
    recited = recited_shares(
        {"before": before, "after": after}, {"training": train_texts, "test": test_texts}, MAX_RECITED, SEED
    )
    record = {
        "created": datetime.now().isoformat(timespec="seconds"),
        "command": "make adapt",
        "first_run": first.folder.resolve().name,
        "data": data,
        "split": "test",
        "seed": SEED,
        "interval": "95% bootstrap over tweets",
        **measured,
        "recited": recited,
        "versions": library_versions(),
        "git_commit": git_commit(),
    }
    write_json(run_dir / ADAPTATION_FILE, record)
    say("", *score_lines(measured), "", *example_lines(before, after, test_texts), "", *recited_lines(recited), "")


def say(*lines: str) -> None:
    print(*lines, sep="\n", flush=True)


def prepare(path: Path, text_column: str | None, first_dir: Path) -> tuple[FirstRun, dict]:
    """Read and prepare the tweets for training from a first run; return both and the record of the data."""
    try:
        corpus = load_corpus(path, text_column=text_column)
    except CorpusFormatError as error:
        option = "--text-column (TEXT_COLUMN of make)"
        raise CorpusFormatError(str(error).replace("text_column", option)) from None
    try:
        prepared = prepare_tweets(corpus, SEED)
    except ValueError as error:
        kept = "only the letters a to z (accented letters are written plainly) and digits"
        raise ValueError(f"{error}. Cleaning keeps {kept}, so tweets in other scripts are lost") from None
    try:
        first = start_from(first_dir, prepared, "for make adapt")
    except LeakageError as error:
        advice = "give other tweets, which it has not read"
        if first_dir.resolve() != COMMITTED_RUN:
            advice = "adapt the run that this project comes with again, with all tweets (leave out --from)"
        raise LeakageError(f"{error}: {advice}") from None
    counts, name = first.tweets.counts, first_dir.resolve().name
    splits = f"{counts['train']:,} training, {counts['val']:,} validation, {counts['test']:,} test"
    rows = f"{corpus.source}: {counts['rows_read']:,} rows."
    say(f"{rows} Different tweets of two words or more: {splits}.", *corpus.unused_lines(), f"Starting from {name}.")
    if counts["read_by_first_run"]:
        say(f"Validation and test tweets that {name} has read are left out: {counts['read_by_first_run']:,}.")
    return first, corpus_record(corpus, first.tweets)


def train(first: FirstRun, data: dict, folder: Path) -> tuple[Path, list[str]]:
    """Train the LSTM of the first run further, and add n-grams.

    Args:
        first: the run to start from, and the tweets.
        data: the record of the data.
        folder: for checkpoints, and for the run folder until it is complete.

    Returns:
        the run folder, inside `folder`, and the training texts.
    """
    train_texts, val_texts = first.tweets.texts("train"), validation_tweets(first.tweets)
    say(f"Training on {len(train_texts):,} tweets, at most {ADAPTATION.max_epochs} times each.")
    tokenizer, model, result, trained_share = adapt_lstm(
        first.folder, train_texts, val_texts, ADAPTATION, ADAPTATION_DROPOUT, folder / "training"
    )
    if result.resumed_at:
        say(f"Training was resumed at step {result.resumed_at:,}.")
    say("Saving the model and counting n-grams.")
    runs = folder / "runs"
    # What an interrupted command has left.
    shutil.rmtree(runs, ignore_errors=True)
    decoding = Decoding(**read_meta(first.folder)["settings"]["decoding"])
    # The first run's decoding is kept.
    sizes = {"decodings": [decoding], "max_pairs": MAX_PAIRS, "typed_tweets": 0, "seed": SEED}
    texts = {"train_texts": train_texts, "first_run": first.folder, "trained_share": trained_share}
    save_run(ModelSystem("lstm_lm", model, tokenizer), result, val_texts, data, runs, **sizes, **texts)
    run_dir = find_run("lstm_lm", models_dir=runs)
    build_device(run_dir, train_texts, val_texts, seed=SEED, first_device=first.folder / DEVICE_DIR)
    return run_dir, train_texts


def validation_tweets(tweets: PreparedTweets) -> list[str]:
    # A few tweets are all that a small archive has, so short ones count too.
    return evaluation_texts(tweets.texts("val"), NUM_VAL_TWEETS, SEED, min_words=2)


def measure(before: DeviceLM, after: DeviceLM, texts: Sequence[str]) -> dict:
    """Score both models on test tweets, in JSON types; empty if there are too few.

    Returns:
        "pairs", their number; "typing", the record of `typing_record`; "systems", all metrics of complete answers;
        "changes", of some of them: after minus before, with the paired interval.
    """
    long_enough = [text for text in texts if text.count(" ") >= 3]
    if len(long_enough) < MIN_MEASURED:
        return {}
    pairs = evaluation_texts(long_enough, MAX_PAIRS, SEED)
    models = {"before": before, "after": after}
    typed = {name: record_suggestions(model, pairs[:MAX_TYPED]) for name, model in models.items()}
    evaluations = {name: evaluate(OnnxSystem(name, model), pairs) for name, model in models.items()}
    changes = {name: paired_difference(evaluations["after"], evaluations["before"], name, SEED) for name in SCORES}
    return {
        "pairs": len(pairs),
        "typing": typing_record(typed, "before", SEED),
        "systems": {name: {"metrics": as_record(one.summary(SEED))} for name, one in evaluations.items()},
        "changes": as_record(changes),
    }


def score_lines(measured: dict) -> list[str]:
    """A table of the scores before and after, at most 80 characters wide."""
    if not measured:
        return [f"Scores before and after: too few test tweets of four words (at least {MIN_MEASURED} are needed)."]
    typed = {name: system["word"]["3"] for name, system in measured["typing"]["systems"].items()}
    title = f"{TYPING_METRICS['keys_saved'].title}, 3 suggestions"
    saved = [typed[name]["metrics"]["keys_saved"] for name in ("before", "after")]
    rows = [(title, *saved, typed["after"]["more_keys_saved"])]
    for name in SCORES:
        scores = [measured["systems"][system]["metrics"][name] for system in ("before", "after")]
        rows.append((METRICS[name].title, *scores, measured["changes"][name]))
    tweets = f"{measured['typing']['systems']['after']['tweets']:,} typed and {measured['pairs']:,} completed"
    lines = [f"On your own test tweets ({tweets}):", f"{'':25}{'before':>9}{'after':>9}   change (95% interval)"]
    for name, *scores, change in rows:
        lines.append(f"{name:25}{''.join(map(short, scores))}   {Estimate.from_record(change)}")
    return [*lines, verdict(Estimate.from_record(typed["after"]["more_keys_saved"]))]


def verdict(more_keys_saved: Estimate) -> str:
    """Say whether it is clear that the adapted model saves more keys."""
    if more_keys_saved.n >= MIN_DECISIVE and more_keys_saved.low > 0:
        return "The adapted model saves more keys on tweets like yours."
    if more_keys_saved.n >= MIN_DECISIVE and more_keys_saved.high < 0:
        return "The adapted model saves fewer keys on tweets like yours: keep the one that it started from."
    reason = "the interval includes 0"
    if more_keys_saved.n < MIN_DECISIVE:
        reason = f"fewer than {MIN_DECISIVE} tweets were typed"
    return f"Whether the adapted model saves more keys on tweets like yours is not clear: {reason}."


def short(score: dict) -> str:
    """A score without its interval, 9 characters wide."""
    return f"{str(Estimate.from_record(score)).split(' (')[0]:>9}"


def example_lines(before: DeviceLM, after: DeviceLM, texts: Sequence[str]) -> list[str]:
    """Three test tweets, cut after 75% of their words, with what was written and what both models write."""
    pairs = as_pairs(recitable(texts)[:NUM_EXAMPLES])
    if not pairs:
        return [f"Completions before and after: no test tweet has {MIN_WORDS} words."]
    answers = [best_completions(model, [pair.context for pair in pairs]) for model in (before, after)]
    lines = ["Completions of your own test tweets:"]
    for pair, old, new in zip(pairs, *answers):
        lines += [
            f"  {pair.context} ...",
            f"    you: {pair.target}",
            f"    before: {old.text}",
            f"    after: {new.text}",
        ]
    return lines


def recited_lines(recited: dict[str, dict]) -> list[str]:
    """What the models recite, and what to compare it with."""
    if not recited:
        return [f"Recited tweets: too few tweets of {MIN_WORDS} words (at least {MIN_TEXTS} are needed)."]
    lines = ["Share of tweets that the model recites word for word, given the first half of their words:"]
    for split, shares in recited.items():
        before, after = (Estimate.from_record(shares[name]) for name in ("before", "after"))
        lines.append(f"  {before.n:,} {split} tweets: before {before}, after {after}")
    return lines


def closing_lines(run_dir: Path, first_dir: Path) -> list[str]:
    """The run folder, the commands that type with it, what it holds, and how to delete it."""
    models_dir = run_dir.parent
    options = "" if models_dir == Path(MODELS_DIR) else f" --models-dir {shlex.quote(str(models_dir))}"
    commands = [f"  .venv/bin/python -m src.{name} --run {run_dir.name}{options}" for name in ("complete", "demo")]
    holds = []
    if read_meta(first_dir).get("init_from") is not None:
        name = first_dir.resolve().name
        holds = [f"It also holds what {name} has learned, and runs that start from this one will hold your tweets."]
    return [
        f"Run folder: {run_dir}",
        "Type with it in the terminal, or on a page in the browser:",
        *commands,
        *holds,
        "It can repeat your tweets. To delete all that was made from them, delete the folder:",
        f"  rm -r {shlex.quote(str(run_dir))}",
    ]


if __name__ == "__main__":
    main()
