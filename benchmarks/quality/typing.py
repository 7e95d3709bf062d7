"""How many keys do the suggestions of each system save, typed key by key?

`python -m benchmarks.quality.typing` types validation tweets on which nothing was chosen, and writes
`benchmarks/results/typing.json`. It takes the newest runs on the corpus. The transformer is slow and types fewer
tweets; without a run it is left out. Presage takes part if it is installed.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.common import NGRAM_ORDER, prepared_corpus, write_results
from benchmarks.quality.presage import NotInstalledError, Presage
from src.completion.completer import Completer
from src.deploy.export import export_onnx
from src.deploy.onnx_lstm import OnnxLSTM
from src.evaluation.selection import NUM_VAL_TWEETS, choose_weight, validation_texts
from src.evaluation.typing import record_suggestions, typing_record
from src.evaluation.word_list import WordList
from src.lstm_model import load_lstm_lm
from src.models.kneser_ney import KneserNeyLM
from src.models.pretrained import PRETRAINED_NAMES, load_pretrained
from src.recipe import token_datasets
from src.report.tables import typing_table
from src.runs import find_run, find_runs
from src.text.calibration import load_calibration
from src.text.prefixes import TweetCompleter

NUM_TWEETS, NUM_SLOW_TWEETS = 1_000, 100
BASELINE = "word list"


def completers(
    train_texts: Sequence[str], val_texts: Sequence[str], runs: Sequence[Path]
) -> Iterator[tuple[str, TweetCompleter, int]]:
    """Yield the name of each system, its completer and how many tweets it types.

    Args:
        train_texts: texts that are counted.
        val_texts: texts on which the weight of the n-grams is chosen.
        runs: the run folder of an LSTM, then that of a transformer if there is one.
    """
    yield BASELINE, WordList(train_texts), NUM_TWEETS
    try:
        yield "presage", Presage(), NUM_TWEETS
    except NotInstalledError as error:
        print(f"Left out: {error}")
    tokenizer, lstm, pad_id, eos_id = load_lstm_lm(runs[0])
    train_dataset, val_dataset = token_datasets(tokenizer, train_texts, val_texts)
    ngram = KneserNeyLM.from_dataset(train_dataset, len(tokenizer), pad_id, eos_id, NGRAM_ORDER)
    interpolated, _ = choose_weight(lstm, ngram, val_dataset, pad_id)
    export_onnx(runs[0])
    yield "Kneser-Ney n-gram", Completer(ngram, tokenizer), NUM_TWEETS
    yield "LSTM", Completer(lstm, tokenizer, calibration=load_calibration(runs[0])), NUM_TWEETS
    yield "LSTM, ONNX int8", OnnxLSTM(runs[0]), NUM_TWEETS
    yield "LSTM with n-grams", Completer(interpolated, tokenizer), NUM_TWEETS
    for run in runs[1:]:
        lm = load_pretrained(run)
        yield lm.name, Completer(lm.model, lm.tokenizer, calibration=load_calibration(run)), NUM_SLOW_TWEETS


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    tweets, data = prepared_corpus()
    val_texts = validation_texts(tweets, 0, NUM_VAL_TWEETS + NUM_TWEETS)
    # Everything is chosen on the first of them.
    chosen_on, texts = val_texts[:NUM_VAL_TWEETS], val_texts[NUM_VAL_TWEETS:]
    if not texts:
        raise SystemExit(f"{len(val_texts)} validation tweets: more than {NUM_VAL_TWEETS} are needed")
    runs = [find_run("lstm_lm", data=data), *find_runs(*PRETRAINED_NAMES, data=data)[:1]]
    records = {}
    for name, completer, num_tweets in completers(tweets.texts("train"), chosen_on, runs):
        print(f"{name} types {len(texts[:num_tweets])} tweets")
        records[name] = record_suggestions(completer, texts[:num_tweets])
    record = typing_record(records, BASELINE, seed=0)
    print(typing_table(record).T.to_string())
    rows = [{"system": name, **system} for name, system in record["systems"].items()]
    settings = {"tweets": len(texts), "slow_tweets": NUM_SLOW_TWEETS, "seed": 0, "baseline": BASELINE}
    settings |= {"ngram_order": NGRAM_ORDER, "runs": [run.name for run in runs]}
    write_results("typing", data, settings, rows, command="python -m benchmarks.quality.typing")


if __name__ == "__main__":
    main()
