"""Completions in the terminal: `python -m src.complete "the weather today" -n 3`."""

import argparse
import sys
from collections.abc import Sequence

from src.completion.completer import Completer
from src.lstm_model import load_lstm_lm
from src.runs import RunError, find_run


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m src.complete", description="The newest LSTM completes a tweet.")
    parser.add_argument("prefix", help='the beginning of a tweet, e.g. "the weather today"')
    parser.add_argument("-n", type=int, default=1, help="number of suggestions")
    parser.add_argument("--half-typed", action="store_true", help="the last word is still being typed")
    parser.add_argument("--models-dir", default="models", help="folder of the run folders")
    options = parser.parse_args(arguments)
    try:
        tokenizer, model, _, _ = load_lstm_lm(find_run("lstm_lm", models_dir=options.models_dir), device="cpu")
        [suggestions] = Completer(model, tokenizer).complete([options.prefix], options.n, options.half_typed)
    except (RunError, ValueError) as error:
        sys.exit(str(error))
    for suggestion in suggestions:
        print(suggestion.text)


if __name__ == "__main__":
    main()
