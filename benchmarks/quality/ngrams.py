"""What does an n-gram model add to each neural model, and how large must it be?

`python -m benchmarks.quality.ngrams` counts n-grams over the tokens of the newest LSTM and of the newest fine-tuned
transformer, chooses their weight on some validation tweets, scores the interpolated models on others, and writes
`benchmarks/results/interpolation.json`.
"""

import argparse
from collections.abc import Iterator, Sequence

from benchmarks.common import prepared_corpus, scores_of, write_results
from src.evaluation.intervals import as_record
from src.evaluation.selection import choose_weight, validation_texts
from src.evaluation.systems import ModelSystem
from src.lstm_model import load_lstm_lm
from src.models.kneser_ney import KneserNeyLM
from src.models.pretrained import PRETRAINED_NAMES, load_pretrained
from src.recipe import token_datasets
from src.runs import find_run

NUM_CHOOSING = 1_000
NUM_PAIRS = 1_000
LSTM_ORDERS, TRANSFORMER_ORDERS = (2, 3, 4), (4,)


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


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    tweets, data = prepared_corpus()
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
