"""Is anything lost when a run is killed or the disk is full? A small run from download to export, disturbed.

`python -m benchmarks.robustness.kills 30` disturbs runs in fresh folders: 30 of them are killed as by `kill -9` at a
random moment, and in one run per stage the disk is full when the stage starts. After each it checks the files that are
left and runs the stages again, which must end with the files of an undisturbed run. It writes
`benchmarks/results/kills.json`.
"""

import argparse
import hashlib
import io
import os
import random
import resource
import signal
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread, Timer
from types import SimpleNamespace

import torch

from benchmarks.common import write_results
from src.corpus import load as corpus
from src.corpus.tokenization import train_tokenizer
from src.data_utils import corpus_record, prepare_tweets, write_tweets_csv
from src.deploy.device import DEVICE_DIR, DeviceLM
from src.deploy.export import export_onnx
from src.deploy.onnx_lstm import FILES, OnnxLSTM
from src.files import WriteError, write_json
from src.lstm_model import LSTMConfig, load_lstm_lm, save_lstm_lm
from src.next_token_dataset import NextTokenDataset
from src.recipe import build_device, new_lstm
from src.runs import find_run, find_runs, new_run, run_metadata
from src.text.calibration import CALIBRATION_FILE, IDENTITY
from src.training.train import TrainingSettings, train

NUM_KILLS = 30
# The largest file that the full disk still takes, in bytes.
MAX_FILE_BYTES = 500
# The exit status for a full disk, ENOSPC.
WRITE_ERROR = 28
NUM_ROWS = 4_000
WORDS = ("so", "the", "cat", "and", "my", "dog", "want", "tea", "again", "but", "never", "coffee", "at", "home")
CONFIG = LSTMConfig(vocab_size=100, embedding_dim=16, hidden_dim=24)
SETTINGS = TrainingSettings(batch_size=32, max_epochs=1, eval_steps=0.2, patience=5, num_sampled_tokens=20, bf16=False)


def zipped_tweets() -> bytes:
    """A zipped corpus of made-up tweets."""
    rng = random.Random(0)
    texts = [" ".join(rng.choices(WORDS, k=rng.randint(4, 12))) for _ in range(NUM_ROWS)]
    rows = [f'"0","{i}","","NO_QUERY","someone","{text}"\n' for i, text in enumerate(texts)]
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(corpus.SENTIMENT140_CSV, "".join(rows))
    return file.getvalue()


def download_stage(run: SimpleNamespace) -> None:
    run.corpus = corpus.load_corpus(None, run.folder / "data", run.url)


def preparation_stage(run: SimpleNamespace) -> None:
    run.tweets = prepare_tweets(run.corpus, seed=0)
    write_tweets_csv(run.tweets, run.folder / "data" / "tweets_cleaned.csv")


def tokenizing_stage(run: SimpleNamespace) -> None:
    run.tokenizer = train_tokenizer(run.tweets.texts("train"), CONFIG.vocab_size)
    run.datasets = [
        NextTokenDataset(
            run.tweets.texts(split),
            run.tokenizer,
            run.tokenizer.eos_token_id,
            context_unit="words",
            folder=run.folder / "data" / split,
            bos_id=run.tokenizer.bos_token_id,
        )
        for split in ("train", "val")
    ]


def training_stage(run: SimpleNamespace) -> None:
    run.model = new_lstm(run.tokenizer, CONFIG, SETTINGS.seed)
    checkpoint_dir = run.folder / "models" / ".checkpoints-lstm_lm"
    run.result = train(run.model, *run.datasets, SETTINGS, checkpoint_dir, run.tokenizer.pad_token_id)


def saving_stage(run: SimpleNamespace) -> None:
    data = corpus_record(run.corpus, run.tweets)
    meta = run_metadata("lstm_lm", {}, data, {"val_loss": run.result.best_val_loss}, run.result.duration)
    with new_run("lstm_lm", run.folder / "models") as run_dir:
        write_json(run_dir / CALIBRATION_FILE, asdict(IDENTITY))
        save_lstm_lm(run_dir, run.model, run.tokenizer, meta, run.result.history)


def export_stage(run: SimpleNamespace) -> None:
    export_onnx(find_run("lstm_lm", models_dir=run.folder / "models"))


def device_stage(run: SimpleNamespace) -> None:
    texts = (run.tweets.texts(split) for split in ("train", "val"))
    build_device(find_run("lstm_lm", models_dir=run.folder / "models"), *texts, typed_tweets=0)


STAGES: dict[str, Callable[[SimpleNamespace], None]] = {
    "download": download_stage,
    "preparation": preparation_stage,
    "tokenizing": tokenizing_stage,
    "training": training_stage,
    "saving": saving_stage,
    "export": export_stage,
    "device": device_stage,
}


def run_stages(
    folder: Path, url: str, disturbed: str | None = None, disturb: Callable[[], object] | None = None
) -> dict[str, float]:
    """Run all stages; call `disturb` when the stage `disturbed` starts.

    Returns:
        the seconds that each stage took.
    """
    run, seconds = SimpleNamespace(folder=folder, url=url), {}
    for name, stage in STAGES.items():
        if name == disturbed:
            disturb()
        started = time.perf_counter()
        stage(run)
        seconds[name] = time.perf_counter() - started
    return seconds


def kill_after(seconds: float) -> None:
    Timer(seconds, os.kill, (os.getpid(), signal.SIGKILL)).start()


def fill_disk() -> None:
    """From now on no file can grow beyond a few bytes, as on a full disk."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MAX_FILE_BYTES, MAX_FILE_BYTES))


def run_in_process(*arguments) -> int:
    """Run the stages in a forked process, which has the libraries already imported.

    Returns:
        the exit status: 0 if all stages ended, `WRITE_ERROR`, 1 for any other error, -9 if the process was killed.
    """
    if not (child := os.fork()):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
        status = 1
        try:
            run_stages(*arguments)
            status = 0
        except WriteError:
            status = WRITE_ERROR
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def fingerprint(folder: Path) -> dict[str, str]:
    """Checksums of the files with their final names, of the newest run folder only; every run folder must load."""
    for run_dir in find_runs("lstm_lm", models_dir=folder / "models"):
        load_lstm_lm(run_dir, device="cpu")
        for precision, name in FILES.items():
            if (run_dir / name).exists():
                OnnxLSTM(run_dir, precision).complete(["so the"])
        if (run_dir / DEVICE_DIR).exists():
            DeviceLM(run_dir / DEVICE_DIR).complete(["so the"])
    paths = {name: folder / "data" / name for name in (corpus.SENTIMENT140_ZIP, "tweets_cleaned.csv")}
    for run_dir in find_runs("lstm_lm", models_dir=folder / "models")[:1]:
        same = (".pt", ".onnx", ".txt", CALIBRATION_FILE)
        paths |= {path.name: path for path in run_dir.iterdir() if path.name.endswith(same)}
        # The page of the folder names the run, which has another name each time.
        files = [path for path in run_dir.glob(f"{DEVICE_DIR}/*") if path.is_file() and path.name != "README.md"]
        paths |= {f"{DEVICE_DIR}/{path.name}": path for path in files}
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in paths.items() if path.exists()}


def disturb_once(url: str, undisturbed: dict[str, str], stage: str, disturb: Callable[[], object]) -> int:
    """Disturb a run, check the files that it has left, and run it again.

    Returns:
        the exit status of the disturbed run.

    Raises:
        AssertionError: a file is incomplete, or the second run doesn't end with the files of an undisturbed run.
    """
    with TemporaryDirectory() as folder:
        status = run_in_process(Path(folder), url, stage, disturb)
        assert status in (0, -signal.SIGKILL, WRITE_ERROR), (
            f"a run that was disturbed in {stage} failed with an unexpected error"
        )
        left = fingerprint(Path(folder))
        assert left.items() <= undisturbed.items(), f"a run that was disturbed in {stage} left an incomplete file"
        assert run_in_process(Path(folder), url) == 0, f"a run that was disturbed in {stage} can't be run again"
        assert fingerprint(Path(folder)) == undisturbed, f"a run that was disturbed in {stage} ended with other files"
    return status


@contextmanager
def undisturbed_run() -> Iterator[tuple[str, dict[str, str], dict[str, float]]]:
    """The URL of the corpus, the fingerprint of an undisturbed run, and the seconds of its stages."""
    # A process with other threads can't be forked safely.
    torch.set_num_threads(1)
    content = zipped_tweets()
    corpus.SENTIMENT140_SHA256, corpus.SENTIMENT140_BYTES = hashlib.sha256(content).hexdigest(), len(content)
    with TemporaryDirectory() as folder:
        (Path(folder) / "tweets.zip").write_bytes(content)
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/tweets.zip"
        undisturbed = Path(folder) / "undisturbed"
        seconds = run_stages(undisturbed, url)
        yield url, fingerprint(undisturbed), seconds
        server.shutdown()


def kill_many(num_kills: int, seed: int = 0) -> list[dict]:
    """Kill runs at random moments, the stages taking turns; a row for each stage.

    Raises:
        AssertionError: see `disturb_once`.
    """
    rng, kills = random.Random(seed), dict.fromkeys(STAGES, 0)
    with undisturbed_run() as (url, undisturbed, seconds):
        while sum(kills.values()) < num_kills:
            stage = list(STAGES)[sum(kills.values()) % len(STAGES)]
            after = rng.uniform(0, seconds[stage])
            kills[stage] += disturb_once(url, undisturbed, stage, partial(kill_after, after)) == -signal.SIGKILL
    return [{"stage": stage, "killed": times} for stage, times in kills.items()]


def fill_disk_in_every_stage() -> dict[str, bool]:
    """Whether each stage ends with a `WriteError` when the disk is full.

    Raises:
        AssertionError: see `disturb_once`.
    """
    with undisturbed_run() as (url, undisturbed, _):
        return {stage: disturb_once(url, undisturbed, stage, fill_disk) == WRITE_ERROR for stage in STAGES}


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and logs nothing."""

    def log_message(self, *args) -> None:
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("num_kills", type=int, nargs="?", default=NUM_KILLS)
    num_kills = parser.parse_args().num_kills
    reported = fill_disk_in_every_stage()
    rows = [{**row, "full disk told": reported[row["stage"]]} for row in kill_many(num_kills)]
    data = {"name": f"{NUM_ROWS:,} made-up tweets"}
    settings, command = {"kills": num_kills, "seed": 0}, f"python -m benchmarks.robustness.kills {num_kills}"
    write_results("kills", data, settings, rows, command)


if __name__ == "__main__":
    main()
