"""Is anything lost when the power goes? A small run from download to export, killed at random moments.

`python -m benchmarks.kills` kills a run as `kill -9` does, once in each of 30 fresh folders, looks at what is left, and
gives the same command again: it has to end with the files of a run that nothing disturbed. It writes
`benchmarks/results/kills.json`.
"""

import argparse
import hashlib
import io
import os
import random
import signal
import sys
import time
import zipfile
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread, Timer
from types import SimpleNamespace

import torch
import transformers

from benchmarks.common import write_results
from src import corpus
from src.data_utils import corpus_record, prepare_tweets, write_tweets_csv
from src.export import export_onnx
from src.lstm_model import LSTMLM, LSTMConfig, load_lstm_lm, save_lstm_lm
from src.next_token_dataset import NextTokenDataset
from src.onnx_lstm import FILES, OnnxLSTM
from src.runs import find_run, find_runs, new_run, run_metadata
from src.tokenization import train_tokenizer
from src.training import TrainingSettings, train

NUM_KILLS = 30
NUM_ROWS = 4_000
WORDS = ("so", "the", "cat", "and", "my", "dog", "want", "tea", "again", "but", "never", "coffee", "at", "home")
SETTINGS = TrainingSettings(batch_size=32, max_epochs=1, num_evaluations=5, patience=5)


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
    run.tokenizer = train_tokenizer(run.tweets.texts("train"), 100)
    run.datasets = [
        NextTokenDataset(
            run.tweets.texts(split), run.tokenizer, run.tokenizer.eos_token_id, folder=run.folder / "data" / split
        )
        for split in ("train", "val")
    ]


def training_stage(run: SimpleNamespace) -> None:
    transformers.set_seed(0)
    run.model = LSTMLM(LSTMConfig(vocab_size=len(run.tokenizer), embedding_dim=16, hidden_dim=24))
    checkpoint_dir = run.folder / "models" / ".checkpoints-lstm_lm"
    run.result = train(run.model, *run.datasets, SETTINGS, checkpoint_dir, run.tokenizer.pad_token_id)


def saving_stage(run: SimpleNamespace) -> None:
    data = corpus_record(run.corpus, run.tweets)
    meta = run_metadata("lstm_lm", {}, data, {"val_loss": run.result.best_val_loss}, run.result.duration)
    with new_run("lstm_lm", run.folder / "models") as run_dir:
        save_lstm_lm(run_dir, run.model, run.tokenizer, meta, run.result.history)


def export_stage(run: SimpleNamespace) -> None:
    export_onnx(find_run("lstm_lm", models_dir=run.folder / "models"))


STAGES: dict[str, Callable[[SimpleNamespace], None]] = {
    "download": download_stage,
    "preparation": preparation_stage,
    "tokenizing": tokenizing_stage,
    "training": training_stage,
    "saving": saving_stage,
    "export": export_stage,
}


def run_stages(folder: Path, url: str, killed_in: str | None = None, after: float = 0.0) -> dict[str, float]:
    """All stages; in the one named the process is killed after so many seconds.

    Returns:
        seconds of each stage.
    """
    run, seconds = SimpleNamespace(folder=folder, url=url), {}
    for name, stage in STAGES.items():
        if name == killed_in:
            Timer(after, os.kill, (os.getpid(), signal.SIGKILL)).start()
        started = time.perf_counter()
        stage(run)
        seconds[name] = time.perf_counter() - started
    return seconds


def was_killed(*arguments) -> bool:
    """Run the stages in a process of its own, which needs no time to import the libraries."""
    if not (child := os.fork()):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
        run_stages(*arguments)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status not in (0, -signal.SIGKILL):
        raise RuntimeError(f"a run ended with exit status {status} instead of at its end or by being killed")
    return status == -signal.SIGKILL


def fingerprint(folder: Path) -> dict[str, str]:
    """Checksums of what has its final name, all of which must open; of run folders, of the newest one."""
    for run_dir in find_runs("lstm_lm", models_dir=folder / "models"):
        load_lstm_lm(run_dir, device="cpu")
        for precision, name in FILES.items():
            if (run_dir / name).exists():
                OnnxLSTM(run_dir, precision).complete(["so the"])
    paths = {name: folder / "data" / name for name in (corpus.SENTIMENT140_ZIP, "tweets_cleaned.csv")}
    for run_dir in find_runs("lstm_lm", models_dir=folder / "models")[:1]:
        paths |= {path.name: path for path in run_dir.iterdir() if path.suffix in (".pt", ".onnx", ".txt")}
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in paths.items() if path.exists()}


def kill_once(url: str, undisturbed: dict[str, str], killed_in: str, after: float) -> bool:
    """Kill a run, look at what it has left, and give its command again.

    Returns:
        whether it was killed before its end.

    Raises:
        AssertionError: something is half there, or the second run ends in something else.
    """
    with TemporaryDirectory() as folder:
        killed = was_killed(Path(folder), url, killed_in, after)
        left = fingerprint(Path(folder))
        assert left.items() <= undisturbed.items(), f"a kill in {killed_in} after {after:.3f} s left half a file"
        was_killed(Path(folder), url)
        assert fingerprint(Path(folder)) == undisturbed, f"a kill in {killed_in} after {after:.3f} s changed the result"
    return killed


def kill_many(num_kills: int, seed: int = 0) -> list[dict]:
    """Kill runs in stages taken in turn; a row for each stage.

    Raises:
        AssertionError: something was lost.
    """
    # A process with threads of its own can't be forked.
    torch.set_num_threads(1)
    content = zipped_tweets()
    corpus.SENTIMENT140_SHA256, corpus.SENTIMENT140_BYTES = hashlib.sha256(content).hexdigest(), len(content)
    rng, kills = random.Random(seed), dict.fromkeys(STAGES, 0)
    with TemporaryDirectory() as folder:
        (Path(folder) / "tweets.zip").write_bytes(content)
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/tweets.zip"
        whole = Path(folder) / "whole"
        seconds = run_stages(whole, url)
        undisturbed = fingerprint(whole)
        while sum(kills.values()) < num_kills:
            stage = list(STAGES)[sum(kills.values()) % len(STAGES)]
            kills[stage] += kill_once(url, undisturbed, stage, rng.uniform(0, seconds[stage]))
        server.shutdown()
    return [{"killed in": stage, "times": times} for stage, times in kills.items()]


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args) -> None:
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("num_kills", type=int, nargs="?", default=NUM_KILLS)
    num_kills = parser.parse_args().num_kills
    rows = kill_many(num_kills)
    data = {"name": f"{NUM_ROWS:,} made-up tweets"}
    write_results(
        "kills", data, {"kills": num_kills, "seed": 0}, rows, command=f"python -m benchmarks.kills {num_kills}"
    )


if __name__ == "__main__":
    main()
