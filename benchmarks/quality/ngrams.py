"""What does an n-gram model add to each neural model, and how large must it be?

`python -m benchmarks.quality.ngrams` counts n-grams over the tokens of the newest LSTM and of the newest fine-tuned
transformer, chooses their weight on some validation tweets, scores the interpolated models on others, and writes
`benchmarks/results/interpolation.json`. `python -m benchmarks.quality.ngrams sizes` prunes the n-grams over the tokens
of the newest LSTM to files of several sizes, and writes `benchmarks/results/ngram_sizes.json` and its figure.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import torch
from transformers import PreTrainedModel

from benchmarks.common import NGRAM_ORDER, RESULTS_DIR, prepared_corpus, read_results, scores_of, write_results
from src.data_utils import PreparedTweets
from src.deploy.ngram_export import load_ngrams, write_ngram_file
from src.evaluation.context_weights import Predictions, fit
from src.evaluation.intervals import Estimate, Ratio, as_record, estimate
from src.evaluation.selection import choose_weight, validation_texts
from src.evaluation.systems import ModelSystem, likelihood_table
from src.lstm_model import load_lstm_lm
from src.models.interpolation import InterpolatedLM
from src.models.kneser_ney import KneserNeyLM
from src.models.ngram_counts import ngram_levels
from src.models.pretrained import PRETRAINED_NAMES, load_pretrained
from src.next_token_dataset import NextTokenDataset
from src.recipe import token_datasets
from src.report.figures import plot_curves
from src.runs import find_run
from src.text.context_weight import ContextWeight

NUM_CHOOSING = 1_000
NUM_PAIRS = 1_000
LSTM_ORDERS, TRANSFORMER_ORDERS = (2, 3, 4), (4,)
MEGABYTES = (2, 4, 8, 9.5, 16, 32)
SIZES_CHOOSING, SIZES_PAIRS = 2_000, 5_000
# Finer than those of a run, so that the curve is smooth.
WEIGHTS = tuple(np.arange(0.05, 0.6, 0.025).round(3).tolist())


def rows_of(neural: ModelSystem, orders: Sequence[int], train_texts: list[str], val_texts: list[str]) -> Iterator[dict]:
    """A row for the neural model alone; for each order one for the n-grams alone and one for both."""
    name, model, tokenizer = neural.name, neural.model, neural.tokenizer
    pair_texts = val_texts[NUM_CHOOSING:][:NUM_PAIRS]

    def row(system: ModelSystem, **columns) -> dict:
        return {"system": system.name, **columns, **as_record(scores_of(system, pair_texts))}

    train_dataset, choosing_dataset = token_datasets(tokenizer, train_texts, val_texts[:NUM_CHOOSING])
    yield row(neural)
    for order in orders:
        ids = model.config.vocab_size, tokenizer.pad_token_id, tokenizer.eos_token_id
        ngram = KneserNeyLM.from_dataset(train_dataset, *ids, order)
        columns = {"order": order, "ngram_megabytes": round(ngram.get_memory_footprint() / 1e6, 1)}
        both, table = choose_weight(model, ngram, choosing_dataset, tokenizer.pad_token_id)
        yield row(ModelSystem(f"n-grams over the tokens of the {name}", ngram, tokenizer), **columns)
        columns |= {"weight": both.weight, "weights": table.to_dict("records")}
        yield row(ModelSystem(f"{name} with n-grams", both, tokenizer), **columns)


class SizeScores:
    """Perplexities of the n-grams alone and mixed, on the same texts for every size."""

    def __init__(self, lstm: PreTrainedModel, dataset: NextTokenDataset, texts: list[str], pad_id: int):
        self.lstm, self.dataset, self.pad_id = lstm, dataset, pad_id
        self.words = likelihood_table(texts, np.zeros(len(texts)))["words"].to_numpy()[SIZES_CHOOSING:]
        self.unpruned: np.ndarray | None = None

    def predictions(self, ngram: KneserNeyLM) -> Predictions:
        return Predictions.of(InterpolatedLM(self.lstm, ngram, WEIGHTS[0]), self.dataset, self.pad_id, batch_size=64)

    def perplexity(self, predictions: Predictions, nll: torch.Tensor) -> tuple[np.ndarray, dict[str, Estimate]]:
        """Nats of every scored text, float64 [texts], and the perplexity."""
        totals = np.bincount(predictions.text.numpy(), nll.numpy())[SIZES_CHOOSING:]
        return totals, {"perplexity_per_word": estimate(Ratio(totals, self.words, np.exp), seed=0)}

    def rows(self, ngram: KneserNeyLM, **columns) -> Iterator[dict]:
        """A row for the n-grams alone and two for the mixture; the first n-grams are those that are not pruned."""
        predictions = self.predictions(ngram)
        columns |= {"ngrams": sum(ngram.config.num_ngrams[1:])}
        _, alone = self.perplexity(predictions, -predictions.ngram_log_p)
        yield {"system": "Kneser-Ney n-gram", **columns, **as_record(alone)}
        choosing = predictions.select(predictions.text < SIZES_CHOOSING)
        order = len(ngram.config.num_ngrams)
        fixed = min(
            (ContextWeight.fixed(weight, order) for weight in WEIGHTS),
            key=lambda weight: float(choosing.nll(choosing.log_odds(weight)).sum()),
        )
        weights = {"LSTM with n-grams": fixed, "LSTM with n-grams, weights by context": fit(choosing, fixed)}
        for name, weight in weights.items():
            totals, scores = self.perplexity(predictions, predictions.nll(predictions.log_odds(weight)))
            self.unpruned = totals if self.unpruned is None else self.unpruned
            # The texts are the same, so the interval of the quotient is far narrower than those of the perplexities.
            quotient = estimate(Ratio(totals - self.unpruned, self.words, np.exp), seed=0)
            columns["coefficients"] = list(weight.coefficients)
            yield {"system": name, **columns, **as_record(scores | {"times_unpruned": quotient})}


def size_rows(run_dir: Path, tweets: PreparedTweets) -> Iterator[dict]:
    """Three rows for each size of the n-grams, the unpruned ones first, after a row for the LSTM alone."""
    tokenizer, lstm, _, _ = load_lstm_lm(run_dir)
    texts = validation_texts(tweets, 0, SIZES_CHOOSING + SIZES_PAIRS)
    train_dataset, dataset = token_datasets(tokenizer, tweets.texts("train"), texts)
    scores = SizeScores(lstm, dataset, texts, tokenizer.pad_token_id)
    vocab_size, pad_id, eos_id = len(tokenizer), tokenizer.pad_token_id, tokenizer.eos_token_id
    unpruned = KneserNeyLM.from_dataset(train_dataset, vocab_size, pad_id, eos_id, NGRAM_ORDER)
    predictions = scores.predictions(unpruned)
    yield {"system": "LSTM", **as_record(scores.perplexity(predictions, -predictions.log_p)[1])}
    yield from scores.rows(unpruned, megabytes=round(unpruned.get_memory_footprint() / 1e6, 1))
    del unpruned
    levels = ngram_levels(train_dataset, vocab_size, eos_id, NGRAM_ORDER)
    with TemporaryDirectory() as folder:
        for megabytes in MEGABYTES:
            path = write_ngram_file(Path(folder) / "ngrams.bin", levels, eos_id, int(megabytes * 1e6))
            yield from scores.rows(load_ngrams(path, pad_id), megabytes=round(path.stat().st_size / 1e6, 2))


def measure_sizes(tweets: PreparedTweets, data: dict) -> None:
    """Write the results of `size_rows` and draw them."""
    run_dir = find_run("lstm_lm", data=data)
    rows = list(size_rows(run_dir, tweets))
    settings = {"pairs": SIZES_PAIRS, "choosing": SIZES_CHOOSING, "order": NGRAM_ORDER, "seed": 0, "run": run_dir.name}
    write_results("ngram_sizes", data, settings, rows, command="python -m benchmarks.quality.ngrams sizes")
    table = pd.DataFrame(read_results("ngram_sizes")).dropna(subset="coefficients").sort_values("megabytes")
    table["perplexity_per_word"] = [Estimate.from_record(score) for score in table["perplexity_per_word"]]
    plot_curves(table, "megabytes", ["perplexity_per_word"]).savefig(RESULTS_DIR / "ngram_sizes.png", dpi=100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="?", default="models", choices=("models", "sizes"))
    what = parser.parse_args().what
    tweets, data = prepared_corpus()
    if what == "sizes":
        measure_sizes(tweets, data)
        return
    train_texts, val_texts = tweets.texts("train"), validation_texts(tweets, 0, NUM_CHOOSING + NUM_PAIRS)
    runs = [find_run("lstm_lm", data=data), find_run(*PRETRAINED_NAMES, data=data)]
    tokenizer, lstm, _, _ = load_lstm_lm(runs[0])
    lm = load_pretrained(runs[1])
    rows = [
        *rows_of(ModelSystem("LSTM", lstm, tokenizer), LSTM_ORDERS, train_texts, val_texts),
        *rows_of(ModelSystem(lm.name, lm.model, lm.tokenizer), TRANSFORMER_ORDERS, train_texts, val_texts),
    ]
    settings = {"pairs": NUM_PAIRS, "choosing": NUM_CHOOSING, "seed": 0, "runs": [run.name for run in runs]}
    write_results("interpolation", data, settings, rows, command="python -m benchmarks.quality.ngrams")


if __name__ == "__main__":
    main()
