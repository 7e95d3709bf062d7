"""What is shown while a notebook runs: one line for each step, with its title, a bar and its time."""

import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from typing import TextIO

from nbformat import NotebookNode

from vm.kernel import NOTE, WARNING

LINE_WIDTH = 79
MIN_BAR = 6
MIN_TITLE = 10
TITLE_LENGTH = 44
WHAT_LENGTH = 15
SECONDS_BETWEEN_LINES = 60
ENDINGS = {"ok": "", "error": "failed after ", "interrupted": "stopped after "}
# What tqdm writes: "training:  45%|████▌     | 6328/14062 [21:34<26:22,  4.89step/s]"
BAR = re.compile(r"^(?:(?P<what>.*): +)?(?P<percent>\d+)%\|.*\[[\d:]+<(?P<left>[\d:]+)?")


def step_titles(notebook: NotebookNode) -> dict[int, str]:
    """The title of every code cell that is not empty, by the cell's index.

    It is the last heading of the Markdown cell before it, else that cell's first sentence, else the cell's first line.
    The cell tagged `parameters` has the title "Parameters".
    """
    titles = {}
    for before, (i, cell) in zip([None, *notebook.cells], enumerate(notebook.cells)):
        if cell.cell_type == "code" and cell.source.strip():
            title = markdown_title(before.source) if before and before.cell_type == "markdown" else ""
            title = "Parameters" if "parameters" in cell.metadata.get("tags", []) else title
            titles[i] = shorten(title or " ".join(cell.source.strip().splitlines()[0].split()))
    return titles


def markdown_title(source: str) -> str:
    """The last heading of a Markdown text, else its first sentence, as plain text; "" if it has no words."""
    text = re.sub(r"```.*?(```|\Z)|<[^>]*>|!\[[^\]]*\]\([^)]*\)", " ", source, flags=re.DOTALL)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    headings = re.findall(r"^ {0,3}#{1,6}\s+(.*?)\s*#*\s*$", text, re.MULTILINE)
    words = " ".join((headings or [text])[-1].replace("`", "").replace("*", "").split()).lstrip("-> ")
    return words if headings else re.split(r"(?<=[?!])\s|[.:;](?:\s|$)", words)[0]


def shorten(title: str, length: int = TITLE_LENGTH) -> str:
    """Cut a title after a word, so that it has at most `length` characters."""
    return title if len(title) <= length else title[: length + 1].rsplit(" ", 1)[0][:length]


def duration(seconds: float) -> str:
    """A time such as 2:31 or 1:02:31."""
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def is_live(stream: TextIO, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether a line can be rewritten: a terminal, unless TERM is dumb or NO_COLOR is set."""
    return stream.isatty() and environment.get("TERM") not in (None, "", "dumb") and not environment.get("NO_COLOR")


class StepLines:
    """Shows the steps of one notebook; is also the file to which papermill writes the cells' stderr.

    In a terminal the line of the current step is rewritten. Elsewhere a line is written when a step ends, and for a
    long step every minute.
    """

    def __init__(self, titles: dict[int, str], out: TextIO, clock: Callable[[], float] = time.monotonic):
        """
        Args:
            titles: the title of every step, by the index of its cell.
            out: where the lines go.
            clock: the time in seconds.
        """
        self.numbered = {cell: (number, title) for number, (cell, title) in enumerate(titles.items(), 1)}
        self.out, self.live, self.clock = out, is_live(out), clock
        self.cell, self.runs = None, False
        self.unfinished, self.bar = "", None
        self.started = self.shown = clock()
        self.lock = threading.RLock()

    def begin(self, cell_index: int) -> None:
        """Begin a step; a cell without a title is none."""
        with self.lock:
            if cell_index in self.numbered:
                self.cell, self.runs = cell_index, True
                self.unfinished, self.bar = "", None
                self.started = self.shown = self.clock()
                if self.live:
                    self._show()

    def end(self, status: str = "ok") -> None:
        """End the current step, if it runs, and show its time; `status` is a key of `ENDINGS`."""
        with self.lock:
            if self.runs:
                self.runs, self.bar = False, None
                self._write_line(self._line(ENDINGS[status] + duration(self.clock() - self.started)))

    def write(self, text: str) -> None:
        """Take what a cell writes to stderr: show messages, remember the state of the bar, drop the rest."""
        with self.lock:
            *lines, self.unfinished = re.split(r"[\r\n]", self.unfinished + text)
            for line in lines:
                if line.startswith((NOTE, WARNING)):
                    self._write_line(line)
            for line in filter(None, (*lines, self.unfinished)):
                # A bar that ends is left at 100% or overwritten with spaces.
                self.bar = None if line.isspace() else BAR.match(line) or self.bar
                if self.bar and self.bar["percent"] == "100":
                    self.bar = None

    def flush(self) -> None:
        """A file has this method; every line is flushed when it is written."""

    def tick(self) -> None:
        """Show the current step again; called every second."""
        with self.lock:
            if self.runs and (self.live or self.clock() - self.shown >= SECONDS_BETWEEN_LINES):
                self._show()

    @property
    def step(self) -> str:
        """The last step that began, in words."""
        if self.cell is None:
            return "its start"
        number, title = self.numbered[self.cell]
        return f'step {number}, "{title}"'

    def _show(self) -> None:
        self.shown = self.clock()
        parts = [duration(self.clock() - self.started)]
        if self.bar:
            parts.append(f"{(self.bar['what'] or '')[:WHAT_LENGTH]} {self.bar['percent']}%".strip())
            parts += [f"{self.bar['left']} left"] if self.bar["left"] else []
        line = self._line(", ".join(parts))
        if self.live:
            self._write(f"\r{line}\x1b[K")
        else:
            self._write_line(line)

    def _line(self, end: str) -> str:
        number, title = self.numbered[self.cell]
        total = len(self.numbered)
        width = min(LINE_WIDTH, shutil.get_terminal_size().columns - 1) if self.live else LINE_WIDTH
        start = f"[{number:>{len(str(total))}}/{total}] "
        start += shorten(title, max(width - len(start) - MIN_BAR - len(end) - 2, MIN_TITLE)) + " "
        room = max(width - len(start) - len(end) - 1, 0)
        done = room * int(self.bar["percent"]) // 100 if self.bar else 0
        line = f"{start}{'#' * done}{'.' * (room - done)} {end}"
        return line[:width] if self.live else line

    def _write_line(self, line: str) -> None:
        self._write(f"\r{line}\x1b[K\n" if self.live else f"{line}\n")

    def _write(self, text: str) -> None:
        encoding = self.out.encoding or "utf-8"
        self.out.write(text.encode(encoding, "replace").decode(encoding))
        self.out.flush()


def keep_showing(lines: StepLines, stop: threading.Event) -> None:
    """Show the current step once a second until `stop` is set."""
    while not stop.wait(1):
        lines.tick()
