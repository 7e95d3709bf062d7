"""The line editor, driven key by key through a made-up terminal."""

import asyncio
import io
import threading

import pytest
from prompt_toolkit.data_structures import Size
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput
from prompt_toolkit.output.vt100 import Vt100_Output

from src.editor import Editor
from src.text.prefixes import Completion, split_prefix

ALT, TAB, ENTER, RIGHT, BACKSPACE, LEFT = "\x1b", "\t", "\r", "\x1b[C", "\x7f", "\x1b[D"
CTRL_A, CTRL_C, CTRL_D, CTRL_E = "\x01", "\x03", "\x04", "\x05"


class MadeUp:
    """Suggests words that begin with the typed letters; after the letter q it waits for `release`."""

    def __init__(self, completes_first_words=True):
        self.completes_first_words = completes_first_words
        self.asked, self.held_back, self.release = [], threading.Event(), threading.Event()

    def complete(self, prefixes, n=1, half_typed=False, max_new_tokens=20):
        assert half_typed
        [prefix] = prefixes
        self.asked.append(prefix)
        _, typed = split_prefix(prefix, 0, True, self.completes_first_words)
        if prefix.endswith("q"):
            self.held_back.set()
            assert self.release.wait(60)
        words = [word for word in ("weather is lovely", "cat sat", "dog", "weekend") if word.startswith(typed)]
        return [[Completion(word, 0.0) for word in (words or [typed + "ish"])[:n]]]


class Terminal:
    """Presses keys and waits for what the editor shows."""

    def __init__(self, pipe, completer, n, output):
        self.pipe = pipe
        self.editor = Editor(completer, n, pipe, output)
        self.rendered = asyncio.Event()
        self.editor.app.after_render += lambda _: self.rendered.set()

    async def press(self, *keys, line, below=None):
        """Press keys and wait until the line is this and these words are listed below it."""
        self.pipe.send_text("".join(keys))
        await self.until(lambda: self.editor.buffer.text == line and below in (None, self.words()))

    async def until(self, is_true):
        async with asyncio.timeout(60):
            while not is_true():
                self.rendered.clear()
                await self.rendered.wait()

    def words(self):
        return [one.words for one in self.editor.choices]

    def ghost(self):
        return self.editor.buffer.suggestion.text if self.editor.buffer.suggestion else ""


def use(scenario, completer=None, n=3, leave=CTRL_D, output=None):
    """Run a scenario in the editor and leave it."""

    async def both(pipe):
        terminal = Terminal(pipe, completer or MadeUp(), n, output or DummyOutput())
        editing = asyncio.create_task(terminal.editor.read_tweets())
        await terminal.until(lambda: terminal.editor.app.is_running)
        await scenario(terminal)
        pipe.send_text(leave)
        async with asyncio.timeout(60):
            await editing

    with create_pipe_input() as pipe:
        asyncio.run(both(pipe))


def test_three_suggestions_are_listed_and_the_first_is_ghost_text():
    async def scenario(terminal):
        await terminal.press(line="", below=["weather is lovely", "cat sat", "dog"])
        await terminal.press("the we", line="the we", below=["weather is lovely", "weekend"])
        assert "the we" + terminal.ghost() == "the weather is lovely "
        assert terminal.editor._listed() == "Alt+1 weather is lovely\nAlt+2 weekend"

    use(scenario)


@pytest.mark.parametrize("key", [TAB, RIGHT, ALT + "1", CTRL_E])
def test_the_first_suggestion_is_taken(key):
    async def scenario(terminal):
        await terminal.press("the We", line="the We", below=["weather is lovely", "weekend"])
        await terminal.press(key, line="the Weather is lovely ", below=["weather is lovely", "cat sat", "dog"])

    use(scenario)


def test_any_suggestion_or_only_a_word_is_taken():
    async def scenario(terminal):
        await terminal.press("the", line="the", below=["theish"])
        await terminal.press(" ", line="the ", below=["weather is lovely", "cat sat", "dog"])
        await terminal.press(ALT + "2", line="the cat sat ", below=["weather is lovely", "cat sat", "dog"])
        await terminal.press(ALT + "3", line="the cat sat dog ", below=["weather is lovely", "cat sat", "dog"])
        await terminal.press(ALT + "f", line="the cat sat dog weather ")
        await terminal.press("we", line="the cat sat dog weather we", below=["weather is lovely", "weekend"])
        await terminal.press(ALT + "3", "x", line="the cat sat dog weather wex")

    use(scenario)


def test_a_suggestion_after_a_complete_word_brings_its_space():
    async def scenario(terminal):
        await terminal.press("wow!", line="wow!", below=["weather is lovely", "cat sat", "dog"])
        await terminal.press(ALT + "3", line="wow! dog ")

    use(scenario)


def test_saved_keys_are_characters_without_keys(capsys):
    """ "the cat sat weekend" has 19 characters. Ten keys: t, h, e, space, Alt+2, w, e, e, k, Tab."""

    async def scenario(terminal):
        await terminal.press("the ", line="the ", below=["weather is lovely", "cat sat", "dog"])
        await terminal.press(ALT + "2", line="the cat sat ", below=["weather is lovely", "cat sat", "dog"])
        await terminal.press("week", line="the cat sat week", below=["weekend"])
        await terminal.press(TAB, line="the cat sat weekend ")
        await terminal.press(ENTER, line="", below=["weather is lovely", "cat sat", "dog"])
        # Typed by hand, with a wrong letter; Tab has nothing to take in the middle of the line.
        await terminal.press("hq", BACKSPACE, "i", LEFT, line="hi", below=[])
        await terminal.press(TAB, ENTER, line="")
        # A tweet without letters is none.
        await terminal.press(" ", ENTER, line="")

    completer = MadeUp()
    completer.release.set()
    use(scenario, completer)
    assert capsys.readouterr().out.splitlines() == [
        "19 characters, 10 keys: 9 saved (47%)",
        "2 characters, 6 keys: -4 saved (-200%)",
    ]


def test_pasted_characters_count_as_keys(capsys):
    async def scenario(terminal):
        await terminal.press("a \x1b[200~big\nred\x1b[201~ d", line="a big red d", below=["dog"])
        await terminal.press(TAB, line="a big red dog ")
        await terminal.press(ENTER, line="")

    use(scenario)
    assert capsys.readouterr().out == "13 characters, 12 keys: 1 saved (8%)\n"


def test_choices_return_when_text_is_deleted_and_go_inside_the_line():
    async def scenario(terminal):
        await terminal.press("the week", line="the week", below=["weekend"])
        await terminal.press(BACKSPACE * 2, line="the we", below=["weather is lovely", "weekend"])
        await terminal.press(CTRL_A, line="the we", below=[])
        await terminal.press(CTRL_E, line="the we", below=["weather is lovely", "weekend"])

    use(scenario)


def test_a_tweet_stays_on_the_screen_without_its_suggestions(capsys):
    async def scenario(terminal):
        await terminal.press("the ", line="the ", below=["weather is lovely", "cat sat", "dog"])
        await terminal.press(ENTER, line="", below=["weather is lovely", "cat sat", "dog"])

    screen = io.StringIO()
    use(scenario, output=Vt100_Output(screen, lambda: Size(rows=24, columns=80)))
    end_of_editing = "\x1b[?2004l"
    first_tweet = screen.getvalue().split(end_of_editing)[0]
    shown, _, left = first_tweet.rpartition("> the")
    assert "lovely" in shown and "Alt+3" in shown
    assert "lovely" not in left and "Alt" not in left


def test_a_slow_model_stops_no_key_and_answers_only_the_newest_text():
    completer = MadeUp()

    async def scenario(terminal):
        await terminal.press("the q", line="the q")
        await asyncio.to_thread(completer.held_back.wait, 60)
        for line in ("the qu", "the qui", "the quiz"):
            await terminal.press(line[-1], line=line, below=[])
        await terminal.press(TAB, line="the quiz", below=[])
        completer.release.set()
        await terminal.press(line="the quiz", below=["quizish"])

    use(scenario, completer)
    assert "the quiz" in completer.asked and not {"the qu", "the qui"} & set(completer.asked)


@pytest.mark.parametrize("leave", [CTRL_D, CTRL_C])
def test_leaving_does_not_wait_for_the_model(leave, capsys):
    completer = MadeUp()

    async def scenario(terminal):
        await terminal.press("the q", line="the q")
        await asyncio.to_thread(completer.held_back.wait, 60)

    use(scenario, completer, leave=leave)
    assert not completer.release.is_set()
    completer.release.set()
    assert capsys.readouterr().out == ""


def test_a_model_without_first_words_waits_for_a_complete_word():
    async def scenario(terminal):
        await terminal.press("do", line="do", below=[])
        await terminal.press(TAB, " ", line="do ", below=["weather is lovely", "cat sat", "dog"])
        # No model reads other letters than a to z.
        await terminal.press(CTRL_A, "\x0b", "привет ", line="привет ", below=[])

    use(scenario, MadeUp(completes_first_words=False))


def test_one_suggestion_or_nine_but_not_ten():
    async def scenario(terminal):
        await terminal.press("the ", line="the ", below=["weather is lovely"])
        await terminal.press(ALT + "2", "d", line="the d", below=["dog"])

    use(scenario, n=1)
    Editor(MadeUp(), 9)
    with pytest.raises(ValueError, match="n is 10: the editor has keys for at most 9 suggestions"):
        Editor(MadeUp(), 10)


def test_a_model_that_fails_ends_the_editor():
    class Broken(MadeUp):
        def complete(self, *arguments, **options):
            raise RuntimeError("no memory left")

    with create_pipe_input() as pipe, pytest.raises(RuntimeError, match="no memory left"):
        Editor(Broken(), 3, pipe, DummyOutput()).run()
