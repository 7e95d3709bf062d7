"""Completions in the terminal: `python -m src.complete "the weather today" -n 3`."""

import argparse
import sys
from collections.abc import Sequence

from src.completion.completer import Completer
from src.lstm_model import load_lstm_lm
from src.runs import RunError, best_run, describe_run, named_run
from src.text.calibration import load_calibration


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m src.complete",
        description="The LSTM completes a tweet. Suggestions go to standard output, the run to standard error.",
    )
    parser.add_argument("prefix", help='the beginning of a tweet, e.g. "the weather today"')
    parser.add_argument("-n", type=int, default=1, help="number of suggestions")
    parser.add_argument("--half-typed", action="store_true", help="the last word is still being typed")
    parser.add_argument("--run", help="folder of a run, or its name in the models folder; default: the best run")
    parser.add_argument("--models-dir", default="models", help="folder of the run folders")
    options = parser.parse_args(arguments)
    try:
        if options.run is None:
            run_dir = best_run("lstm_lm", models_dir=options.models_dir)
        else:
            run_dir = named_run(options.run, options.models_dir)
        tokenizer, model, _, _ = load_lstm_lm(run_dir, device="cpu")
        completer = Completer(model, tokenizer, calibration=load_calibration(run_dir))
        [suggestions] = completer.complete([options.prefix], options.n, options.half_typed)
    except (RunError, ValueError) as error:
        sys.exit(str(error))
    # Standard error can show every character: it escapes those that the console lacks.
    print(describe_run(run_dir), file=sys.stderr)
    for suggestion in suggestions:
        print(suggestion.text)


if __name__ == "__main__":
    main()
