"""What does an n-gram model add to each neural model, and how large must it be?

`python -m benchmarks.quality.ngrams` counts n-grams over the pieces of the newest LSTM and of the newest fine-tuned
transformer, chooses their weight on some validation tweets, scores both on others, and writes
`benchmarks/results/interpolation.json`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from benchmarks.common import prepared_corpus, write_results
from benchmarks.quality.curves import METRICS
from src.evaluation.evaluate import evaluate, evaluation_texts
from src.evaluation.selection import choose_weight
from src.evaluation.systems import ModelSystem
from src.lstm_model import load_lstm_lm
from src.models.kneser_ney import KneserNeyLM
from src.models.pretrained import PRETRAINED_NAMES, load_pretrained
from src.next_token_dataset import NextTokenDataset
from src.runs import find_run

NUM_CHOOSING = 1_000
NUM_PAIRS = 1_000
LSTM_ORDERS, TRANSFORMER_ORDERS = (2, 3, 4), (4,)


def rows_of(
    name: str,
    neural: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    orders: Sequence[int],
    train_texts: list[str],
    val_texts: list[str],
) -> Iterator[dict]:
    """A row for a model alone, one for each order of n-grams alone and with it."""
    pair_texts = val_texts[NUM_CHOOSING:][:NUM_PAIRS]

    def row(system: str, model: PreTrainedModel, **columns) -> dict:
        summary = evaluate(ModelSystem(system, model, tokenizer), pair_texts).summary(seed=0)
        return {"system": system, **columns, **{metric: asdict(summary[metric]) for metric in METRICS}}

    train_dataset, choosing_dataset = (
        NextTokenDataset(texts, tokenizer, tokenizer.eos_token_id, context_unit="words")
        for texts in (train_texts, val_texts[:NUM_CHOOSING])
    )
    yield row(name, neural)
    for order in orders:
        ids = neural.config.vocab_size, tokenizer.pad_token_id, tokenizer.eos_token_id
        ngram = KneserNeyLM.from_dataset(train_dataset, *ids, order)
        columns = {"order": order, "ngram_megabytes": round(ngram.get_memory_footprint() / 1e6, 1)}
        both, table = choose_weight(neural, ngram, choosing_dataset, tokenizer.pad_token_id)
        yield row(f"n-grams over the pieces of the {name}", ngram, **columns)
        yield row(f"{name} with n-grams", both, **columns, weight=both.weight, weights=table.to_dict("records"))


def main() -> None:
    tweets, data = prepared_corpus()
    train_texts = tweets.texts("train")
    val_texts = evaluation_texts(tweets.texts("val"), NUM_CHOOSING + NUM_PAIRS, seed=0)
    runs = [find_run("lstm_lm", data=data), find_run(*PRETRAINED_NAMES, data=data)]
    tokenizer, lstm, _, _ = load_lstm_lm(runs[0])
    lm = load_pretrained(runs[1])
    rows = [
        *rows_of("LSTM", lstm, tokenizer, LSTM_ORDERS, train_texts, val_texts),
        *rows_of(lm.name, lm.model, lm.tokenizer, TRANSFORMER_ORDERS, train_texts, val_texts),
    ]
    settings = {"pairs": NUM_PAIRS, "choosing": NUM_CHOOSING, "seed": 0, "runs": [run.name for run in runs]}
    write_results("interpolation", data, settings, rows, command="python -m benchmarks.quality.ngrams")


if __name__ == "__main__":
    main()
