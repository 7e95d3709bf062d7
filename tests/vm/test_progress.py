"""Titles of steps and the lines that are shown while they run, in a terminal and elsewhere."""

import io
import os
import pty
from contextlib import suppress

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from vm.progress import StepLines, duration, markdown_title, shorten, step_titles

BAR = "\rtraining:  45%|████▌     | 6328/14062 [21:34<26:22,  4.89step/s, val_loss=4.9]"


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.mark.parametrize(
    ("markdown", "title"),
    [
        ("## The corpus\n\n`load_corpus` uses the best one.", "The corpus"),
        ("# Story\n\nText.\n\n### Its end ###\nMore.", "Its end"),
        ("Three steps **prepare** the [corpus](data/README.md). They clean it.", "Three steps prepare the corpus"),
        ("What does `the model` write? It depends.", "What does the model write?"),
        ("- Most tweets are short: two words", "Most tweets are short"),
        ("A share of 0.75 is\nthe context", "A share of 0.75 is the context"),
        ("```\n# not a heading\n```\n<br>![figure](a.png) After the code.", "After the code"),
        ("", ""),
        ("<!-- hidden -->", ""),
    ],
)
def test_a_title_is_the_last_heading_or_the_first_sentence(markdown, title):
    assert markdown_title(markdown) == title


def test_every_code_cell_that_runs_is_a_step():
    cells = [
        new_code_cell("first = 1\n# more"),
        new_markdown_cell("# Story"),
        new_code_cell("seed = 0", metadata={"tags": ["parameters"]}),
        new_markdown_cell("## Training"),
        new_code_cell("train()"),
        new_code_cell("  \n"),
        new_code_cell("score()"),
        new_markdown_cell("---"),
        new_code_cell("show()"),
    ]
    titles = step_titles(new_notebook(cells=cells))
    assert titles == {0: "first = 1", 2: "Parameters", 4: "Training", 6: "score()", 8: "show()"}


def test_a_long_title_is_cut_after_a_word():
    assert shorten("a title of five words", 21) == "a title of five words"
    assert shorten("a title of five words", 20) == "a title of five"
    assert shorten("a title of five words", 7) == "a title"
    assert shorten("unbreakable", 5) == "unbre"


def test_times():
    assert [duration(seconds) for seconds in (0, 59.9, 151, 3_600, 36_061)] == [
        "0:00",
        "0:59",
        "2:31",
        "1:00:00",
        "10:01:01",
    ]


def run_two_steps(out) -> None:
    """A training step of 125 seconds with a bar and two messages, then a quick step."""
    clock = Clock()
    lines = StepLines({1: "Training", 3: "Saving"}, out, clock)
    lines.begin(0)
    lines.begin(1)
    for second in range(125):
        clock.seconds = second
        lines.write(BAR[:20])
        lines.write(BAR[20:])
        lines.tick()
    lines.write("\r     \rnote: the corp")
    lines.write("us\n/a/b.py:3: something else\nwarning: é\n" + BAR.replace("45%", "100%"))
    clock.seconds = 125.9
    lines.end()
    lines.end()
    lines.begin(3)
    lines.end("error")


def test_a_log_has_a_line_for_each_step_each_minute_and_each_message():
    out = io.StringIO()
    run_two_steps(out)
    assert out.getvalue().splitlines() == [
        "[1/2] Training ##############................... 1:00, training 45%, 26:22 left",
        "[1/2] Training ##############................... 2:00, training 45%, 26:22 left",
        "note: the corpus",
        "warning: é",
        "[1/2] Training ........................................................... 2:05",
        "[2/2] Saving ................................................ failed after 0:00",
    ]
    assert "\r" not in out.getvalue()


@pytest.fixture
def terminal(monkeypatch):
    """A terminal of 60 columns: the file to write to, and a function that returns what was written."""
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    master, slave = pty.openpty()
    with open(slave, "w", encoding="utf-8") as out:

        def written() -> str:
            out.close()
            read = b""
            # Linux reports the closed end as an error.
            with suppress(OSError):
                while block := os.read(master, 4096):
                    read += block
            return read.decode().replace("\r\n", "\n")

        yield out, written
    os.close(master)


def show_one_step(out) -> None:
    clock = Clock()
    lines = StepLines({1: "Training"}, out, clock)
    lines.begin(1)
    clock.seconds = 9
    lines.write(BAR)
    lines.tick()
    lines.write("\nnote: the corpus\n")
    lines.end()


def test_a_terminal_shows_the_current_step_on_one_line(terminal):
    out, written = terminal
    show_one_step(out)
    assert written().replace("\x1b[K", "").split("\r") == [
        "",
        "[1/1] Training ....................................... 0:00",
        "[1/1] Training #####........ 0:09, training 45%, 26:22 left",
        "note: the corpus\n",
        "[1/1] Training ....................................... 0:09\n",
    ]


@pytest.mark.parametrize("variable", [("TERM", "dumb"), ("NO_COLOR", "1")])
def test_a_plain_terminal_shows_the_lines_of_a_log(terminal, monkeypatch, variable):
    monkeypatch.setenv(*variable)
    out, written = terminal
    show_one_step(out)
    shown = written()
    assert shown.splitlines() == ["note: the corpus", "[1/1] Training " + "." * 59 + " 0:09"]
    assert "\r" not in shown and "\x1b" not in shown


def test_a_narrow_terminal_gets_no_line_that_wraps(terminal, monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    out, written = terminal
    show_one_step(out)
    assert max(map(len, written().replace("\x1b[K", "").replace("\r", "\n").splitlines())) <= 29


def test_what_a_console_cannot_print_is_replaced():
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    StepLines({}, out).write("note: caf\u00e9 \U0001f642\n")
    assert out.buffer.getvalue() == b"note: caf? ?\n"


def test_a_bar_is_forgotten_when_it_is_removed_or_full():
    out, clock = io.StringIO(), Clock()
    lines = StepLines({1: "Training"}, out, clock)
    lines.begin(1)
    for text in (BAR + "\r      \r", BAR.replace("45%", "100%"), "\rloading: 3it [00:01, 2.5it/s]"):
        clock.seconds += 60
        lines.write(text)
        lines.tick()
    assert [line.split(". ")[1] for line in out.getvalue().splitlines()] == ["1:00", "2:00", "3:00"]
