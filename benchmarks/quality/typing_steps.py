"""What does each part of a suggestion bring, in keys saved?

`python -m benchmarks.quality.typing_steps` types validation tweets with the newest LSTM on the corpus, which must
have its folder `device`: with three continuations of the most probable tokens, as before this project counted keys,
then, in int8, with one change after the other. It writes `benchmarks/results/typing_steps.json`.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.common import prepared_corpus, write_results
from src.completion import GREEDY, Completer
from src.deploy.device import DEVICE_DIR, DeviceLM
from src.deploy.export import export_onnx
from src.deploy.onnx_lstm import OnnxLSTM
from src.evaluation.intervals import as_record
from src.evaluation.selection import MIN_PROBABILITIES, choose_min_probability, validation_texts
from src.evaluation.typing import record_suggestions, type_texts, typing_summary
from src.lstm_model import load_lstm_lm
from src.runs import find_run
from src.text.prefixes import MAX_NEW_TOKENS, Completion, TweetCompleter

NUM_TWEETS = 200
WIDE = 12


class NoFirstWords:
    """A completer that has no suggestions for the first word of a text."""

    completes_first_words = False

    def __init__(self, completer: TweetCompleter):
        self.complete = completer.complete


class NoRepeats:
    """A completer that, within a word, does not suggest again what the person has seen and not taken.

    It is asked for all prefixes of a text in the order in which they are typed, as by `record_suggestions`.
    """

    completes_first_words = True

    def __init__(self, completer: TweetCompleter):
        self.completer = completer

    def complete(
        self, prefixes: Sequence[str], n: int = 1, half_typed: bool = False, max_new_tokens: int = MAX_NEW_TOKENS
    ) -> list[list[Completion]]:
        found, seen = [], set()
        for prefix, group in zip(prefixes, self.completer.complete(prefixes, WIDE, half_typed, max_new_tokens)):
            seen = set() if prefix == "" or prefix.endswith(" ") else seen
            found.append([one for one in group if one.text.split(" ")[0] not in seen][:n])
            seen |= {one.text.split(" ")[0] for one in found[-1]}
        return found


def steps(run_dir: Path) -> Iterator[tuple[str, TweetCompleter]]:
    """Yield what changes, and the completer with this change and those before."""
    tokenizer, lstm, _, _ = load_lstm_lm(run_dir, device="cpu")
    yield (
        "continuations of the three most probable tokens, no first words",
        NoFirstWords(Completer(lstm, tokenizer, GREEDY)),
    )
    export_onnx(run_dir)
    words = {value: OnnxLSTM(run_dir) for value in MIN_PROBABILITIES}
    for value, completer in words.items():
        completer.min_probability = value
    yield "three different words, no first words", NoFirstWords(words[1.0])
    yield "first words too", words[1.0]
    for value in sorted(MIN_PROBABILITIES[:-1], reverse=True):
        yield f"continued as long as the continuation has a probability of {value:g}", words[value]
    yield "with n-grams", DeviceLM(run_dir / DEVICE_DIR, allow_offensive_words=True)
    yield "without n-grams, what was seen is not shown again", NoRepeats(OnnxLSTM(run_dir))


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    tweets, data = prepared_corpus()
    val_texts = validation_texts(tweets, seed=0)
    run_dir = find_run("lstm_lm", data=data)
    rows, records = [], {}
    for name, completer in steps(run_dir):
        record = record_suggestions(completer, val_texts[:NUM_TWEETS])
        if type(completer) is OnnxLSTM:
            records[completer.min_probability] = record
        summaries = {policy: typing_summary(type_texts(record, policy, 3), seed=0) for policy in ("word", "phrase")}
        print(name, *(f"{policy} {summary['keys_saved'].value:.1%}" for policy, summary in summaries.items()))
        rows.append({"step": name, **{policy: as_record(summary) for policy, summary in summaries.items()}})
    settings = {"tweets": NUM_TWEETS, "suggestions": 3, "seed": 0, "run": run_dir.name}
    settings["chosen_min_probability"] = choose_min_probability(records)
    write_results("typing_steps", data, settings, rows, command="python -m benchmarks.quality.typing_steps")


if __name__ == "__main__":
    main()
