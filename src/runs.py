"""Create, find, read and describe run folders: `models/<name>-<timestamp>/`."""

import importlib.metadata
import json
import logging
import math
import platform
import re
import subprocess
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import count
from pathlib import Path

from src.files import explain_full_disk, publish, write_atomically, write_json
from src.model_card import model_card

TIMESTAMP_FORMAT = "%Y%m%d-%H%M%S"
# A number follows the timestamp if several runs started in the same second: "-2", "-3", ...
TIMESTAMP = re.compile(r"\d{8}-\d{6}.*$")
COMPUTING_PACKAGES = ("torch", "transformers", "tokenizers")
RECORDED_PACKAGES = (*COMPUTING_PACKAGES, "accelerate", "numpy", "pandas", "rouge-score")
COMPARISON_FILE = "comparison.json"
SEEN_TEXTS_FILE = "training_texts.safetensors"  # written by `src.evaluation.seen_texts`

# Two runs whose records agree in these have the same training, validation and test tweets.
IDENTITY_OF_SPLIT = ("sha256", "cleaning", "split_by", "split_seed")

logger = logging.getLogger(__name__)


class RunError(ValueError):
    """A run folder is missing, incomplete or not the one that is needed."""


@contextmanager
def new_run(name: str, models_dir: str | Path = "models") -> Iterator[Path]:
    """Create a run folder, and rename it to its final name once the block has ended without an error.

    Yields:
        the folder to write into, under a temporary name that begins with a dot. If the block fails,
        the folder keeps that name and its files, and `find_runs` does not return it.

    Raises:
        WriteError: the disk is full.
    """
    models_dir = Path(models_dir)
    models_dir.mkdir(parents=True, exist_ok=True)
    partial, final = _make_partial(models_dir, name)
    with explain_full_disk(partial):
        yield partial
        publish(partial, final)


def _make_partial(models_dir: Path, name: str) -> tuple[Path, Path]:
    """Create the temporary folder of a new run; return its path and the path it will be renamed to."""
    timestamp = datetime.now().strftime(TIMESTAMP_FORMAT)
    for number in count(1):
        suffix = "" if number == 1 else f"-{number}"
        final = models_dir / f"{name}-{timestamp}{suffix}"
        partial = models_dir / f".{final.name}.partial"
        try:
            partial.mkdir()
        except FileExistsError:
            continue
        if not final.exists():
            return partial, final
        partial.rmdir()


def find_runs(*names: str, models_dir: str | Path = "models", data: dict | None = None) -> list[Path]:
    """Return the complete run folders with one of these names, newest first.

    A folder whose `meta.json` can't be read is left out, with a warning.

    Args:
        *names: e.g. "lstm_lm", or the pattern "lstm_seed*".
        data: a record made by `src.data_utils.corpus_record`. If given, only runs trained on the same
            corpus with the same cleaning, split and seed are returned: any other run may have been trained
            on tweets of this test split.
    """
    found = []
    for path in _run_folders(*names, models_dir=models_dir):
        try:
            if _was_trained_on(path, data):
                found.append(path)
        except RunError as error:
            logger.warning("%s is left out: %s.", path.name, error)
    return sorted(found, key=lambda path: TIMESTAMP.search(path.name).group(), reverse=True)


def _run_folders(*names: str, models_dir: str | Path) -> list[Path]:
    folders = [path for name in names for path in Path(models_dir).glob(f"{name}-[0-9]*")]
    return [path for path in folders if TIMESTAMP.search(path.name) and (path / "meta.json").is_file()]


def find_run(
    *names: str, models_dir: str | Path = "models", data: dict | None = None, run_dir: str | Path | None = None
) -> Path:
    """Return the newest of `find_runs`, such as the run just trained, or `run_dir` if it was trained on `data`.

    Raises:
        RunError: there is no such run, or the `meta.json` of `run_dir` can't be read.
    """
    if run_dir is None:
        found = find_runs(*names, models_dir=models_dir, data=data)
    else:
        found = [Path(run_dir)] if _was_trained_on(Path(run_dir), data) else []
    if found:
        return found[0]
    condition = ""
    if data is not None:
        split = f'split_by="{data["split_by"]}", split seed {data["split_seed"]}'
        condition = f" trained on {data['source']} with {split} and version {data.get('cleaning')} of the cleaning"
    raise RunError(f"no {' or '.join(names)} run{condition} in {run_dir or models_dir}: run its notebook first")


def best_runs(*names: str, models_dir: str | Path = "models") -> list[Path]:
    """Return the complete run folders with one of these names, best first.

    Scores on different corpora can't be compared, because some corpora are easier to guess. So runs on the corpus
    from which a run has learned the most tweets come first. Among runs on one corpus, fewer bits per character on
    validation tweets are better; among equals, the newer run. Runs without this score come last. A folder whose
    `meta.json` can't be read is left out, with a warning.
    """
    metas = {path: read_meta(path) for path in find_runs(*names, models_dir=models_dir)}
    scores = {path: _number(meta, "metrics", "bits_per_character", "value") for path, meta in metas.items()}
    most_tweets: dict[str, int] = {}
    for path, meta in metas.items():
        if scores[path] is not None:
            corpus = _corpus_id(meta)
            most_tweets[corpus] = max(most_tweets.get(corpus, 0), _tweets_learned(meta))

    def rank(path: Path) -> tuple[float, float]:
        score = scores[path]
        return (math.inf, math.inf) if score is None else (-most_tweets[_corpus_id(metas[path])], score)

    return sorted(metas, key=rank)


def best_run(*names: str, models_dir: str | Path = "models") -> Path:
    """Return the first of `best_runs`.

    Raises:
        RunError: there is no such run, or no `meta.json` can be read.
    """
    found = best_runs(*names, models_dir=models_dir)
    if not found:
        # Say what is wrong with a run that was left out.
        for path in _run_folders(*names, models_dir=models_dir):
            read_meta(path)
        raise RunError(f"no {' or '.join(names)} run in {models_dir}: run its notebook first")
    return found[0]


def named_run(run: str | Path, models_dir: str | Path = "models") -> Path:
    """Return the folder of a run, given by its name in `models_dir` or by its path.

    Raises:
        RunError: there is no such folder.
    """
    for path in (Path(models_dir) / run, Path(run).expanduser()):
        if path.is_dir():
            return path
    names = sorted(path.parent.name for path in Path(models_dir).glob("[!.]*/meta.json"))
    raise RunError(f"there is no run {str(run)!r}: give a folder or a name in {models_dir} ({', '.join(names)})")


def describe_run(run_dir: str | Path) -> str:
    """Return the name of a run, what it was trained on and how well it scored, in one line.

    Raises:
        RunError: `meta.json` can't be read.
    """
    meta = read_meta(run_dir)
    tweets, name, source = _tweets_learned(meta), _value(meta, "data", "name"), _value(meta, "data", "source")
    corpus = f"{name} ({source})" if name else "an unknown corpus"
    scores = {
        "{:.3f} bits per character": _number(meta, "metrics", "bits_per_character", "value"),
        "perplexity {:,.0f} per word": _number(meta, "metrics", "perplexity_per_word", "value"),
    }
    found = " and ".join(text.format(score) for text, score in scores.items() if score is not None)
    scored = f"{found or 'no score'} on validation tweets"
    # Resolved, because the name of a path such as "." is empty.
    return f"{Path(run_dir).resolve().name}, trained on {f'{tweets:,} tweets of ' if tweets else ''}{corpus}: {scored}"


def _value(meta: dict, *keys: str) -> object:
    """Return a value inside a run's metadata, None if it is not there."""
    value = meta
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _number(meta: dict, *keys: str) -> float | None:
    value = _value(meta, *keys)
    return value if isinstance(value, int | float) and math.isfinite(value) else None


def _corpus_id(meta: dict) -> str:
    return str(_value(meta, "data", "sha256"))


def _tweets_learned(meta: dict) -> int:
    """Return the number of different tweets that a run has seen in training, 0 if it is not recorded."""
    available, seen = _number(meta, "data", "counts", "train"), _number(meta, "settings", "max_tweets_seen")
    return int(min(available or 0, math.inf if seen is None else seen))


def _was_trained_on(run_dir: Path, data: dict | None) -> bool:
    meta = read_meta(run_dir)
    return data is None or all(_value(meta, "data", key) == data.get(key) for key in IDENTITY_OF_SPLIT)


def read_meta(run_dir: str | Path) -> dict:
    """Read `meta.json` of a run folder.

    Raises:
        RunError: the folder or the file is missing, or the file does not hold a run's metadata.
    """
    run_dir = Path(run_dir)
    path = run_dir / "meta.json"
    if not run_dir.is_dir():
        raise RunError(f"{run_dir} is not a folder: give the path of a run folder such as models/lstm_lm-<timestamp>")
    try:
        meta = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"{run_dir} has no meta.json: it is not a run folder, choose another one") from None
    except json.JSONDecodeError as error:
        raise RunError(f"{path} is not JSON (line {error.lineno}): restore the file") from None
    except UnicodeDecodeError:
        raise RunError(f"{path} is not UTF-8: restore the file") from None
    if not isinstance(meta, dict) or not isinstance(meta.get("versions", {}), dict):
        raise RunError(f"{path} does not have the format of a run's metadata: restore the file")
    return meta


def warn_of_other_versions(run_dir: str | Path) -> None:
    """Warn if a run was made with other versions of `COMPUTING_PACKAGES` than the installed ones."""
    here = {name: release(version) for name, version in library_versions().items()}
    there = {name: release(version) for name, version in read_meta(run_dir).get("versions", {}).items()}
    others = {name: there[name] for name in COMPUTING_PACKAGES if there.get(name, here[name]) != here[name]}
    if others:
        listed = ", ".join(f"{name} {version} (here {here[name]})" for name, version in others.items())
        warnings.warn(f"{run_dir} was made with {listed}: its answers may differ from the recorded ones", stacklevel=3)


def release(version: str) -> str:
    """Return a version without the marks of a build: "2.13.0+cpu" and "2.13.0a0+git1234" are builds of 2.13.0."""
    return re.match(r"[\d.]*", str(version))[0]


def megabytes(run_dir: str | Path) -> float:
    """Return the size of a run folder in MB (10^6 bytes), without exports and records of seen texts or comparisons."""
    paths = [path for path in Path(run_dir).iterdir() if path.is_file() and path.suffix != ".onnx"]
    return sum(path.stat().st_size for path in paths if path.name not in (SEEN_TEXTS_FILE, COMPARISON_FILE)) / 1e6


def run_metadata(
    name: str, settings: dict, data: dict, metrics: dict, duration: float, init_from: dict | None = None
) -> dict:
    """Return the content of a run's `meta.json`, in JSON types.

    Args:
        name: name of the model that was trained, e.g. "smollm2-135m" if it stood in for distilgpt2.
        settings: all parameters of the run.
        data: corpus, its sha256, row counts and split seed (`src.data_utils.corpus_record`).
        metrics: scores on the validation split, with sample size and confidence intervals.
        duration: training time in seconds.
        init_from: the run whose weights training started with (`src.adaptation.first_run_record`); None: random
            weights.
    """
    return {
        "name": name,
        **({} if init_from is None else {"init_from": init_from}),
        "created": datetime.now().isoformat(timespec="seconds"),
        "duration_seconds": round(duration, 1),
        "settings": settings,
        "data": data,
        "metrics": metrics,
        "versions": library_versions(),
        "git_commit": git_commit(),
    }


def library_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that can change a result."""
    versions = {name: importlib.metadata.version(name) for name in RECORDED_PACKAGES}
    return {"python": platform.python_version(), **versions}


def git_commit() -> str | None:
    """Return the current commit's hash, with "+changes" if files of `src` differ from it; None outside git."""

    def git(*arguments: str) -> str:
        completed = subprocess.run(
            ["git", *arguments], cwd=Path(__file__).parent, capture_output=True, text=True, check=True
        )
        return completed.stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain", "--", ".") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def write_run_files(run_dir: str | Path, meta: dict, history: list[dict]) -> None:
    """Write `history.json`, the model card `README.md` and, last, `meta.json`, which marks a complete run."""
    run_dir = Path(run_dir)
    write_json(run_dir / "history.json", history)
    write_atomically(run_dir / "README.md", model_card(meta))
    write_json(run_dir / "meta.json", meta)


def add_comparison(run_dir: str | Path, comparison: dict) -> None:
    """Write a comparison's record into a run folder, and its scores into the model card."""
    run_dir = Path(run_dir)
    write_json(run_dir / COMPARISON_FILE, comparison)
    write_atomically(run_dir / "README.md", model_card(read_meta(run_dir), comparison))
