"""What several benchmarks share: the corpus, a short training run, the n-gram baseline, the file of results."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from transformers import PreTrainedTokenizerBase

from src.corpus.load import load_corpus
from src.data_utils import PreparedTweets, corpus_record, prepare_tweets
from src.evaluation.evaluate import evaluate
from src.evaluation.intervals import Estimate
from src.evaluation.systems import ModelSystem
from src.files import write_json
from src.models.kneser_ney import KneserNeyLM
from src.next_token_dataset import NextTokenDataset
from src.runs import git_commit, library_versions
from src.training.train import TrainingSettings

RESULTS_DIR = Path(__file__).parent / "results"
NGRAM_ORDER = 4
SCORES = ("perplexity_per_word", "next_word", "rouge1")
# A short run, for comparisons of sizes and of distillation.
SHORT_RUN = TrainingSettings(max_tweets_seen=120_000, eval_steps=0.25)


def prepared_corpus() -> tuple[PreparedTweets, dict]:
    """The best corpus within reach, split with seed 0, and its record."""
    corpus = load_corpus(data_dir="data")
    tweets = prepare_tweets(corpus, seed=0)
    return tweets, corpus_record(corpus, tweets)


@contextmanager
def temporary_checkpoints() -> Iterator[Path]:
    """A folder for checkpoints that is removed when the block ends."""
    Path("models").mkdir(exist_ok=True)
    with TemporaryDirectory(prefix=".checkpoints-", dir="models") as folder:
        yield Path(folder)


def ngram_system(train_texts: list[str], tokenizer: PreTrainedTokenizerBase) -> ModelSystem:
    """The baseline: a Kneser-Ney n-gram model over the same tokens."""
    dataset = NextTokenDataset(train_texts, tokenizer, tokenizer.eos_token_id, context_unit="none")
    ids = len(tokenizer), tokenizer.pad_token_id, tokenizer.eos_token_id
    return ModelSystem("Kneser-Ney n-gram", KneserNeyLM.from_dataset(dataset, *ids, NGRAM_ORDER), tokenizer)


def scores_of(system: ModelSystem, texts: list[str]) -> dict[str, Estimate]:
    """The scores that the benchmarks report of a system, with intervals."""
    summary = evaluate(system, texts).summary(seed=0)
    return {name: summary[name] for name in SCORES}


def write_results(name: str, data: dict, settings: dict, rows: list[dict], command: str, **more) -> None:
    """Write `benchmarks/results/<name>.json`: the rows, the data, settings and versions, the command, and more."""
    RESULTS_DIR.mkdir(exist_ok=True)
    write_json(
        RESULTS_DIR / f"{name}.json",
        {
            "command": command,
            "data": data,
            "settings": settings,
            "cores": os.cpu_count(),
            "versions": library_versions(),
            "git_commit": git_commit(),
            "rows": rows,
            **more,
        },
    )


def read_results(name: str) -> list[dict]:
    """The rows of `benchmarks/results/<name>.json`."""
    return json.loads((RESULTS_DIR / f"{name}.json").read_text(encoding="utf-8"))["rows"]
