"""What every benchmark starts with: the corpus, a trained LSTM, and a file of results."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import transformers
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from src.corpus.load import load_corpus
from src.corpus.tokenization import train_tokenizer
from src.data_utils import PreparedTweets, corpus_record, prepare_tweets
from src.device import pick_device
from src.evaluation.systems import ModelSystem
from src.files import write_json
from src.lstm_model import LSTMLM, LSTMConfig
from src.models.kneser_ney import KneserNeyLM
from src.next_token_dataset import NextTokenDataset
from src.runs import git_commit, library_versions
from src.training.train import TrainingResult, TrainingSettings, train

RESULTS_DIR = Path(__file__).parent / "results"
NGRAM_ORDER = 4


def prepared_corpus() -> tuple[PreparedTweets, dict]:
    """The best corpus within reach, split with seed 0, and its record."""
    corpus = load_corpus(data_dir="data")
    tweets = prepare_tweets(corpus, seed=0)
    return tweets, corpus_record(corpus, tweets)


def train_in_passing(
    model: PreTrainedModel, datasets: list[NextTokenDataset], settings: TrainingSettings, pad_id: int
) -> TrainingResult:
    """`train` with checkpoints that are gone when it ends."""
    Path("models").mkdir(exist_ok=True)
    with TemporaryDirectory(prefix=".checkpoints-", dir="models") as folder:
        return train(model, *datasets, settings, folder, pad_id)


def train_lstm(
    train_texts: list[str],
    val_texts: list[str],
    sizes: dict,
    settings: TrainingSettings,
    checkpoint_dir: Path | None = None,
) -> tuple[PreTrainedTokenizerBase, LSTMLM, TrainingResult]:
    """Train a tokenizer and an LSTM as `solution_lstm.ipynb` does.

    Args:
        sizes: fields of `LSTMConfig`, with `vocab_size`.
        checkpoint_dir: where a training that was cut off goes on; None keeps no checkpoints.

    Returns:
        tokenizer, model in evaluation mode, result of the training.
    """
    tokenizer = train_tokenizer(train_texts, sizes["vocab_size"])
    datasets = [
        NextTokenDataset(texts, tokenizer, tokenizer.eos_token_id, context_unit="words")
        for texts in (train_texts, val_texts)
    ]
    transformers.set_seed(settings.seed)
    model = LSTMLM(LSTMConfig(**{**sizes, "vocab_size": len(tokenizer)})).to(pick_device())
    if checkpoint_dir is None:
        return tokenizer, model, train_in_passing(model, datasets, settings, tokenizer.pad_token_id)
    return tokenizer, model, train(model, *datasets, settings, checkpoint_dir, tokenizer.pad_token_id)


def ngram_system(train_texts: list[str], tokenizer: PreTrainedTokenizerBase) -> ModelSystem:
    """The floor: a Kneser-Ney n-gram model over the same pieces."""
    dataset = NextTokenDataset(train_texts, tokenizer, tokenizer.eos_token_id, context_unit="none")
    ids = len(tokenizer), tokenizer.pad_token_id, tokenizer.eos_token_id
    return ModelSystem("Kneser-Ney n-gram", KneserNeyLM.from_dataset(dataset, *ids, NGRAM_ORDER), tokenizer)


def write_results(name: str, data: dict, settings: dict, rows: list[dict], command: str) -> None:
    """Write rows with what they were measured on, and by what, to `benchmarks/results/<name>.json`."""
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
        },
    )
