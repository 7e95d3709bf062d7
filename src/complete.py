"""Completions in the terminal: `python -m src.complete "the weather today" -n 3`, or of what is typed or piped."""

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from prompt_toolkit.utils import is_dumb_terminal

from src.deploy.device import DEVICE_DIR, DeviceLM
from src.deploy.onnx_lstm import INT8_FILE, OnnxLSTM
from src.editor import Editor
from src.runs import RunError, best_run, describe_run, named_run
from src.text.calibration import load_calibration
from src.text.offensive import FilteredCompleter, offensive_words
from src.text.prefixes import MAX_NEW_TOKENS, PrefixError, TweetCompleter, check_request

EDITOR_HELP = (
    "Tab or the right arrow takes the first suggestion, Alt+F its first word, Alt and a digit any suggestion. "
    "Enter ends the tweet, Ctrl+D leaves."
)


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    try:
        if status := run(options):
            sys.exit(status)
    except (RunError, ValueError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # Nobody reads the answers any more. What is left in the buffer must not fail when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m src.complete",
        description="The LSTM completes tweets. Suggestions go to standard output, the run to standard error. "
        "Without a prefix, a terminal becomes a line editor with suggestions; from a pipe or a file, each line is a "
        "prefix in UTF-8, answered by one line with its suggestions, separated by tabs.",
    )
    parser.add_argument("prefix", nargs="?", help='the beginning of a tweet, e.g. "the weather today"')
    parser.add_argument("-n", type=int, help="number of suggestions; default: 1, in the line editor 3")
    parser.add_argument("--half-typed", action="store_true", help="the last word of a prefix is still being typed")
    parser.add_argument("--run", help="folder of a run, or its name in the models folder; default: the best run")
    parser.add_argument("--models-dir", default="models", help="folder of the run folders")
    help_ = "suggest offensive words too, which are left out otherwise"
    parser.add_argument("--allow-offensive-words", action="store_true", help=help_)
    return parser.parse_args(arguments)


def run(options: argparse.Namespace) -> int:
    """Do what the options ask for, and return the exit status."""
    n = 1 if options.n is None else options.n
    check_request([], n, MAX_NEW_TOKENS)
    left_out = frozenset() if options.allow_offensive_words else offensive_words()
    if options.run is None:
        run_dir = best_run("lstm_lm", models_dir=options.models_dir)
    else:
        run_dir = named_run(options.run, options.models_dir)
    completer, about = load_completer(run_dir)
    completer = FilteredCompleter(completer, left_out)
    if options.prefix is not None:
        [suggestions] = completer.complete([options.prefix], n, options.half_typed)
    # Standard error can show every character: it escapes those that the console lacks.
    print(about, file=sys.stderr)
    if options.prefix is not None:
        for suggestion in suggestions:
            print(suggestion.text, flush=True)
        return 0
    if sys.stdin is None:
        raise ValueError("standard input is closed: give a prefix")
    if not can_edit():
        if sys.stdin.isatty():
            print("Enter completes a line, Ctrl+D leaves.", file=sys.stderr)
        return complete_lines(completer, sys.stdin.buffer, n, options.half_typed)
    editor = Editor(completer, 3 if options.n is None else n)
    print(EDITOR_HELP, file=sys.stderr)
    if not completer.completes_first_words:
        print("This run can't complete a first word: suggestions begin after it.", file=sys.stderr)
    editor.run()
    return 0


def load_completer(run_dir: Path) -> tuple[TweetCompleter, str]:
    """Return the completer of a run, which may suggest any word, and its description.

    It is the int8 export with n-grams if there is one, else the int8 export, else the model in torch.

    Raises:
        RunError: the folder is not a complete LSTM run.
    """
    about = describe_run(run_dir)
    forms = {
        "int8 export with n-grams": (
            run_dir / DEVICE_DIR / INT8_FILE,
            lambda: DeviceLM(run_dir / DEVICE_DIR, allow_offensive_words=True),
        ),
        "int8 export": (run_dir / INT8_FILE, lambda: OnnxLSTM(run_dir)),
    }
    for form, (path, load) in forms.items():
        if path.exists():
            try:
                return load(), f"{form} of {about}"
            except Exception as error:
                print(f"The {form} can't be used, another form answers: {error}", file=sys.stderr)
    # Loading torch takes seconds, so only a run without an export pays for it.
    from src.completion.completer import Completer
    from src.completion.prefix_memory import PrefixMemory
    from src.lstm_model import load_lstm_lm

    tokenizer, model, _, _ = load_lstm_lm(run_dir, device="cpu")
    return Completer(model, tokenizer, memory=PrefixMemory(model), calibration=load_calibration(run_dir)), about


def can_edit() -> bool:
    """Tell whether a person types in a terminal that can move its cursor."""
    return sys.stdin.isatty() and sys.stdout is not None and sys.stdout.isatty() and not is_dumb_terminal()


def complete_lines(completer: TweetCompleter, lines: Iterable[bytes], n: int, half_typed: bool) -> int:
    """Print a line of suggestions for each line, as soon as it can be read.

    A line that can't be completed gives an empty line and a sentence on standard error.

    Args:
        lines: the prefixes, in UTF-8.

    Returns:
        the exit status: 1 if a line could not be completed.
    """
    status = 0
    for number, line in enumerate(lines, start=1):
        suggestions = []
        try:
            [suggestions] = completer.complete([line.decode("utf-8").rstrip("\r\n")], n, half_typed)
        except UnicodeDecodeError as error:
            status = 1
            print(f"line {number} is not UTF-8 (byte {error.start + 1}): convert it to UTF-8", file=sys.stderr)
        except PrefixError as error:
            status = 1
            print(str(error).replace("prefix 0", f"line {number}", 1), file=sys.stderr)
        print("\t".join(one.text for one in suggestions), flush=True)
    return status


if __name__ == "__main__":
    main()
