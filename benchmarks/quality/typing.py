"""How many keys do the suggestions of each quick system save, typed key by key?

`python -m benchmarks.quality.typing` types validation tweets on which nothing was chosen, and writes
`benchmarks/results/typing.json`. It takes the newest LSTM on the corpus in the forms for a device. The models in torch
save the same keys more slowly: `compare.ipynb` types fewer tweets with them. Presage takes part if it is installed.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.common import NGRAM_ORDER, prepared_corpus, write_results
from benchmarks.quality.presage import NotInstalledError, Presage
from src.completion.completer import Completer
from src.deploy.device import DEVICE_DIR, DeviceLM
from src.deploy.export import export_onnx
from src.deploy.onnx_lstm import OnnxLSTM
from src.evaluation.selection import NUM_VAL_TWEETS, validation_texts
from src.evaluation.typing import record_suggestions, typing_record
from src.evaluation.word_list import WordList
from src.lstm_model import load_lstm_lm
from src.models.kneser_ney import KneserNeyLM
from src.recipe import token_datasets
from src.report.tables import typing_table
from src.runs import find_run
from src.text.prefixes import TweetCompleter

NUM_TWEETS = 1_000
BASELINE = "word list"


def completers(train_texts: Sequence[str], run_dir: Path) -> Iterator[tuple[str, TweetCompleter]]:
    """Yield the name of each system and its completer.

    Args:
        train_texts: texts that are counted.
        run_dir: the run folder of an LSTM.
    """
    yield BASELINE, WordList(train_texts)
    try:
        yield "presage", Presage()
    except NotInstalledError as error:
        print(f"Left out: {error}")
    tokenizer, _, pad_id, eos_id = load_lstm_lm(run_dir)
    train_dataset, _ = token_datasets(tokenizer, train_texts, [])
    ngram = KneserNeyLM.from_dataset(train_dataset, len(tokenizer), pad_id, eos_id, NGRAM_ORDER)
    yield "Kneser-Ney n-gram", Completer(ngram, tokenizer)
    export_onnx(run_dir)
    yield "LSTM, ONNX int8", OnnxLSTM(run_dir)
    if (run_dir / DEVICE_DIR).is_dir():
        yield "LSTM with n-grams, device", DeviceLM(run_dir / DEVICE_DIR, allow_offensive_words=True)


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    tweets, data = prepared_corpus()
    val_texts = validation_texts(tweets, 0, NUM_VAL_TWEETS + NUM_TWEETS)
    # Everything is chosen on the first of them.
    texts = val_texts[NUM_VAL_TWEETS:]
    if not texts:
        raise SystemExit(f"{len(val_texts)} validation tweets: more than {NUM_VAL_TWEETS} are needed")
    run_dir = find_run("lstm_lm", data=data)
    records = {}
    for name, completer in completers(tweets.texts("train"), run_dir):
        print(f"{name} types {len(texts)} tweets")
        records[name] = record_suggestions(completer, texts)
    record = typing_record(records, BASELINE, seed=0)
    print(typing_table(record).T.to_string())
    rows = [{"system": name, **system} for name, system in record["systems"].items()]
    settings = {"tweets": len(texts), "seed": 0, "baseline": BASELINE, "ngram_order": NGRAM_ORDER, "run": run_dir.name}
    write_results("typing", data, settings, rows, command="python -m benchmarks.quality.typing")


if __name__ == "__main__":
    main()
