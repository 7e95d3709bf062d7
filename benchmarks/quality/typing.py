"""How many keys do the suggestions of each system save, typed key by key?

`python -m benchmarks.quality.typing` types the test tweets of the final comparison and writes
`benchmarks/results/typing.json`, with paired tests between all systems and their differences in groups of tweets. It
takes the newest LSTM on the corpus in the forms for a device and the newest fine-tuned transformer in int8, which types
fewer tweets because it is slow. Presage takes part if it is installed.
`python -m src.report.verdicts benchmarks/results/typing.json` says the verdicts.
"""

import argparse
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path

from benchmarks.common import NGRAM_ORDER, prepared_corpus, write_results
from benchmarks.quality.method_scores import SEED, final_test_texts
from benchmarks.quality.presage import NotInstalledError, Presage
from src.completion.completer import Completer
from src.deploy.device import DEVICE_DIR, DeviceLM
from src.deploy.export import export_onnx
from src.deploy.export_transformer import export_transformer
from src.deploy.onnx_lstm import OnnxLSTM
from src.deploy.onnx_transformer import OnnxTransformer
from src.evaluation.endpoints import endpoint_tests
from src.evaluation.groups import group_texts, strata_record
from src.evaluation.typing import record_suggestions, typing_record
from src.evaluation.word_list import WordList
from src.lstm_model import load_lstm_lm
from src.models.kneser_ney import KneserNeyLM
from src.models.pretrained import PRETRAINED_NAMES, load_pretrained
from src.recipe import token_datasets
from src.report.tables import typing_table
from src.runs import find_run
from src.text.prefixes import TweetCompleter

NUM_TWEETS = 1_000
NUM_SLOW_TWEETS = 500
BASELINE = "word list"


def completers(train_texts: Sequence[str], run_dir: Path) -> Iterator[tuple[str, TweetCompleter]]:
    """Yield the name of each quick system and its completer.

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


def transformer_completer(run_dir: Path) -> tuple[str, Completer]:
    """The name of a fine-tuned transformer in int8 and its completer."""
    export_transformer(run_dir)
    lm = load_pretrained(run_dir, device="cpu")
    return f"{lm.name}, int8", Completer(OnnxTransformer(run_dir), lm.tokenizer)


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    tweets, data = prepared_corpus()
    texts = final_test_texts(tweets)[:NUM_TWEETS]
    run_dir, slow_dir = find_run("lstm_lm", data=data), find_run(*PRETRAINED_NAMES, data=data)
    records = {}
    for name, completer in completers(tweets.texts("train"), run_dir):
        print(f"{name} types {len(texts)} tweets")
        records[name] = record_suggestions(completer, texts)
    name, completer = transformer_completer(slow_dir)
    print(f"{name} types {NUM_SLOW_TWEETS} tweets")
    records[name] = record_suggestions(completer, texts[:NUM_SLOW_TWEETS])
    record = typing_record(records, BASELINE, SEED)
    print(typing_table(record).T.to_string())
    rows = [{"system": name, **system} for name, system in record["systems"].items()]
    settings = {"tweets": len(texts), "seed": SEED, "baseline": BASELINE, "ngram_order": NGRAM_ORDER}
    settings |= {"run": run_dir.name, "transformer_run": slow_dir.name}
    groups = group_texts(texts, tweets.texts("train"))
    more = {
        "tests": endpoint_tests([], records, SEED),
        "strata": strata_record([], records, groups, list(combinations(records, 2)), SEED),
    }
    write_results("typing", data, settings, rows, "python -m benchmarks.quality.typing", **more)


if __name__ == "__main__":
    main()
