"""Quality against the number of training tweets, and against size and latency.

`python -m benchmarks.quality.curves tweets` and `python -m benchmarks.quality.curves sizes` write
`benchmarks/results/tweets.json` and `sizes.json`, each with its figure.
"""

import argparse
from collections.abc import Iterator
from dataclasses import asdict

import pandas as pd
import torch

from benchmarks.common import RESULTS_DIR, ngram_system, prepared_corpus, train_in_passing, train_lstm, write_results
from src.data_utils import PreparedTweets
from src.device import has_fast_bf16
from src.evaluation.evaluate import evaluate, evaluation_texts, suggestion_seconds
from src.evaluation.intervals import Estimate
from src.evaluation.systems import ModelSystem, as_pairs
from src.lstm_model import load_lstm_lm
from src.models.pretrained import PRETRAINED_NAMES, load_pretrained
from src.next_token_dataset import NextTokenDataset
from src.report.figures import plot_curves
from src.runs import find_run, read_meta
from src.training.train import TrainingSettings

NUM_PAIRS = 1_000
METRICS = ("perplexity_per_word", "next_word", "rouge1")
LSTM_SIZES = {"vocab_size": 12_000, "embedding_dim": 256, "hidden_dim": 640, "num_layers": 1, "dropout": 0.3}
LSTM_TWEETS = (4_000, 16_000, 64_000)
TRANSFORMER_TWEETS = (0, 500, 2_000)
SIZES = (
    {**LSTM_SIZES, "vocab_size": 6_000, "embedding_dim": 64, "hidden_dim": 128},
    {**LSTM_SIZES, "vocab_size": 8_000, "embedding_dim": 128, "hidden_dim": 256},
    LSTM_SIZES,
    {**LSTM_SIZES, "vocab_size": 16_000, "embedding_dim": 512, "hidden_dim": 1_536},
)
TWEETS_SEEN = 120_000
TIMED_PREFIXES = 30


def lstm_settings() -> TrainingSettings:
    return TrainingSettings(
        learning_rate=4e-3,
        max_epochs=10,
        max_tweets_seen=TWEETS_SEEN,
        eval_steps=0.25,
        all_tokens_share=0.75,
        num_sampled_tokens=2_000,
        bf16=has_fast_bf16(torch.device("cpu")),
    )


def row_of(system: ModelSystem, pair_texts: list[str], **columns) -> dict:
    summary = evaluate(system, pair_texts).summary(seed=0)
    return {"system": system.name, **columns, **{metric: summary[metric] for metric in METRICS}}


def learning_curves(tweets: PreparedTweets, data: dict, val_texts: list[str]) -> Iterator[dict]:
    """One row for each model and number of training tweets; the notebooks' runs are the last ones."""
    pair_texts = val_texts[:NUM_PAIRS]
    for num_tweets in LSTM_TWEETS:
        train_texts = tweets.texts("train", num_tweets)
        tokenizer, lstm, _ = train_lstm(train_texts, val_texts, LSTM_SIZES, lstm_settings())
        yield row_of(ModelSystem("LSTM", lstm, tokenizer), pair_texts, tweets=num_tweets)
        yield row_of(ngram_system(train_texts, tokenizer), pair_texts, tweets=num_tweets)
    for num_tweets in TRANSFORMER_TWEETS:
        lm = load_pretrained()
        if num_tweets:
            settings = TrainingSettings(
                learning_rate=1e-4, batch_size=32, max_epochs=1, max_tweets_seen=num_tweets, eval_steps=num_tweets
            )
            datasets = [
                NextTokenDataset(texts, lm.tokenizer, lm.tokenizer.eos_token_id, context_unit="words")
                for texts in (tweets.texts("train", num_tweets), val_texts[:100])
            ]
            train_in_passing(lm.model, datasets, settings, lm.tokenizer.pad_token_id)
        yield row_of(ModelSystem(lm.name, lm.model, lm.tokenizer), pair_texts, tweets=num_tweets)
    tokenizer, lstm, _, _ = load_lstm_lm(find_run("lstm_lm", data=data))
    for system in (ModelSystem("LSTM", lstm, tokenizer), ngram_system(tweets.texts("train"), tokenizer)):
        yield row_of(system, pair_texts, tweets=tweets.counts["train"])
    run_dir = find_run(*PRETRAINED_NAMES, data=data)
    lm, num_tweets = load_pretrained(run_dir), read_meta(run_dir)["settings"]["max_tweets_seen"]
    yield row_of(ModelSystem(lm.name, lm.model, lm.tokenizer), pair_texts, tweets=num_tweets)


def size_curve(tweets: PreparedTweets, val_texts: list[str]) -> Iterator[dict]:
    """One row for each size of the LSTM: its scores, its cost in training and for one suggestion."""
    train_texts, pair_texts = tweets.texts("train"), val_texts[:NUM_PAIRS]
    systems, rows = [], []
    for sizes in SIZES:
        tokenizer, lstm, result = train_lstm(train_texts, val_texts, sizes, lstm_settings())
        columns = {"parameters": lstm.num_parameters(), "training_seconds": round(result.duration, 1)}
        rows.append(row_of(ModelSystem("LSTM", lstm, tokenizer), pair_texts, **columns))
        systems.append(ModelSystem(f"{lstm.num_parameters()}", lstm, tokenizer))
    prefixes = [pair.context for pair in as_pairs(pair_texts[:TIMED_PREFIXES])]
    seconds = suggestion_seconds(systems, prefixes)
    yield from ({**row, "seconds_per_suggestion": seconds[system.name]} for row, system in zip(rows, systems))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("curve", choices=("tweets", "sizes"))
    curve = parser.parse_args().curve
    tweets, data = prepared_corpus()
    val_texts = evaluation_texts(tweets.texts("val"), max_texts=5_000, seed=0)
    rows = list(learning_curves(tweets, data, val_texts) if curve == "tweets" else size_curve(tweets, val_texts))
    records = [
        {name: asdict(value) if isinstance(value, Estimate) else value for name, value in row.items()} for row in rows
    ]
    settings = {"pairs": NUM_PAIRS, "lstm": asdict(lstm_settings()), "seed": 0}
    write_results(curve, data, settings, records, command=f"python -m benchmarks.quality.curves {curve}")
    figure = plot_curves(pd.DataFrame(rows), {"tweets": "tweets", "sizes": "parameters"}[curve], METRICS)
    figure.savefig(RESULTS_DIR / f"{curve}.png", dpi=100)


if __name__ == "__main__":
    main()
