"""The kernel in which notebooks run: `python vm/kernel.py -f <connection file>`, as `vm/engine.py` starts it.

It shows what `src` logs, and warnings, as lines that begin with `NOTE` or `WARNING`.
"""

import logging
import sys
import warnings
from pathlib import Path

NOTE, WARNING = "note: ", "warning: "
# For developers of libraries, not for users.
QUIET = (DeprecationWarning, PendingDeprecationWarning, FutureWarning)


def say(mark: str, text: str) -> None:
    """Write a message as one line to the cell's stderr, above the progress bars."""
    from tqdm import tqdm

    tqdm.write(mark + " ".join(text.split()), file=sys.stderr)


class OneLine(logging.Handler):
    """Shows each log record as one line."""

    def emit(self, record: logging.LogRecord) -> None:
        say(WARNING if record.levelno >= logging.WARNING else NOTE, record.getMessage())


def show_warning(message, category, filename, lineno, file=None, line=None) -> None:
    """Show a warning as one line, without the path and the line of code that Python adds."""
    if not issubclass(category, QUIET):
        say(WARNING, str(message))


def main() -> None:
    # Python puts this script's folder first; notebooks must not import from it.
    folder = str(Path(__file__).parent)
    sys.path = [entry for entry in sys.path if entry != folder]
    from ipykernel.kernelapp import launch_new_instance

    logger = logging.getLogger("src")
    logger.setLevel(logging.INFO)
    logger.addHandler(OneLine())
    # A library that logs without a logger of its own gives the root logger a handler, which would repeat the line.
    logger.propagate = False
    warnings.showwarning = show_warning
    launch_new_instance()


if __name__ == "__main__":
    main()
