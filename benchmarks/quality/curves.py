"""Quality against the number of training tweets, and against model size and latency.

`python -m benchmarks.quality.curves tweets` and `python -m benchmarks.quality.curves sizes` write
`benchmarks/results/tweets.json` and `sizes.json`, each with its figure.
"""

import argparse
from collections.abc import Iterator
from dataclasses import asdict

import pandas as pd

from benchmarks.common import (
    RESULTS_DIR,
    SCORES,
    SHORT_RUN,
    ngram_system,
    prepared_corpus,
    read_results,
    scores_of,
    temporary_checkpoints,
    write_results,
)
from src.data_utils import PreparedTweets
from src.device import pick_device
from src.evaluation.intervals import Estimate
from src.evaluation.latency import suggestion_seconds
from src.evaluation.selection import validation_texts
from src.evaluation.systems import ModelSystem, as_pairs
from src.lstm_model import LSTMConfig, load_lstm_lm
from src.models.pretrained import PRETRAINED_NAMES, load_pretrained
from src.recipe import token_datasets, train_lstm
from src.report.figures import plot_curves
from src.runs import find_run, read_meta
from src.training.train import TrainingSettings, train

NUM_PAIRS = 1_000
LSTM_TWEETS = (4_000, 16_000, 64_000)
TRANSFORMER_TWEETS = (0, 500, 2_000)
CONFIGS = (
    LSTMConfig(vocab_size=6_000, embedding_dim=64, hidden_dim=128),
    LSTMConfig(vocab_size=8_000, embedding_dim=128, hidden_dim=256),
    LSTMConfig(),
    LSTMConfig(vocab_size=16_000, embedding_dim=512, hidden_dim=1_536),
)
TIMED_PREFIXES = 30


def fine_tuned(train_texts: list[str], val_texts: list[str]) -> ModelSystem:
    """The transformer after one pass over the training texts; without texts as it was loaded."""
    lm = load_pretrained()
    if train_texts:
        settings = TrainingSettings(
            learning_rate=1e-4,
            muon_learning_rate=0.0,
            batch_size=32,
            max_epochs=1,
            max_tweets_seen=len(train_texts),
            eval_steps=len(train_texts),
            all_tokens_share=0.0,
            num_sampled_tokens=0,
            bf16=False,
        )
        datasets = token_datasets(lm.tokenizer, train_texts, val_texts[:100])
        with temporary_checkpoints() as folder:
            train(lm.model, *datasets, settings, folder, lm.tokenizer.pad_token_id)
    return ModelSystem(lm.name, lm.model, lm.tokenizer)


def row_of(system: ModelSystem, pair_texts: list[str], **columns) -> dict:
    return {"system": system.name, **columns, **scores_of(system, pair_texts)}


def learning_curves(tweets: PreparedTweets, data: dict, val_texts: list[str]) -> Iterator[dict]:
    """One row for each model and number of training tweets; the notebooks' runs come last."""
    pair_texts = val_texts[:NUM_PAIRS]
    for num_tweets in LSTM_TWEETS:
        train_texts = tweets.texts("train", num_tweets)
        with temporary_checkpoints() as folder:
            tokenizer, lstm, _ = train_lstm(train_texts, val_texts, LSTMConfig(), SHORT_RUN, folder)
        yield row_of(ModelSystem("LSTM", lstm, tokenizer), pair_texts, tweets=num_tweets)
        yield row_of(ngram_system(train_texts, tokenizer), pair_texts, tweets=num_tweets)
    for num_tweets in TRANSFORMER_TWEETS:
        yield row_of(fine_tuned(tweets.texts("train", num_tweets), val_texts), pair_texts, tweets=num_tweets)
    tokenizer, lstm, _, _ = load_lstm_lm(find_run("lstm_lm", data=data))
    for system in (ModelSystem("LSTM", lstm, tokenizer), ngram_system(tweets.texts("train"), tokenizer)):
        yield row_of(system, pair_texts, tweets=tweets.counts["train"])
    run_dir = find_run(*PRETRAINED_NAMES, data=data)
    lm, num_tweets = load_pretrained(run_dir), read_meta(run_dir)["settings"]["max_tweets_seen"]
    yield row_of(ModelSystem(lm.name, lm.model, lm.tokenizer), pair_texts, tweets=num_tweets)


def size_curve(tweets: PreparedTweets, val_texts: list[str]) -> Iterator[dict]:
    """One row for each size of the LSTM: its scores, its training time and its latency."""
    train_texts, pair_texts = tweets.texts("train"), val_texts[:NUM_PAIRS]
    systems, rows = [], []
    for config in CONFIGS:
        with temporary_checkpoints() as folder:
            tokenizer, lstm, result = train_lstm(train_texts, val_texts, config, SHORT_RUN, folder)
        columns = {"parameters": lstm.num_parameters(), "training_seconds": round(result.duration, 1)}
        rows.append(row_of(ModelSystem("LSTM", lstm, tokenizer), pair_texts, **columns))
        systems.append(ModelSystem(f"{lstm.num_parameters()}", lstm, tokenizer))
    prefixes = [pair.context for pair in as_pairs(pair_texts[:TIMED_PREFIXES])]
    latencies = suggestion_seconds(systems, prefixes, seed=0)
    for row, latency in zip(rows, latencies.values()):
        yield {**row, "seconds_per_suggestion": latency.median.value, "latency": asdict(latency)}


def draw(curve: str) -> None:
    """Draw the figure of a curve from its file of results."""
    table = pd.DataFrame(read_results(curve))
    for metric in SCORES:
        table[metric] = [Estimate.from_record(score) for score in table[metric]]
    figure = plot_curves(table, {"tweets": "tweets", "sizes": "parameters"}[curve], SCORES)
    figure.savefig(RESULTS_DIR / f"{curve}.png", dpi=100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("curve", choices=("tweets", "sizes"))
    curve = parser.parse_args().curve
    tweets, data = prepared_corpus()
    val_texts = validation_texts(tweets, seed=0)
    rows = list(learning_curves(tweets, data, val_texts) if curve == "tweets" else size_curve(tweets, val_texts))
    records = [
        {name: asdict(value) if isinstance(value, Estimate) else value for name, value in row.items()} for row in rows
    ]
    settings = {"pairs": NUM_PAIRS, "lstm": asdict(SHORT_RUN.on(pick_device())), "seed": 0}
    write_results(curve, data, settings, records, command=f"python -m benchmarks.quality.curves {curve}")
    draw(curve)


if __name__ == "__main__":
    main()
