"""A line editor for the terminal that suggests how a tweet continues while it is being typed."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from prompt_toolkit.application import Application
from prompt_toolkit.auto_suggest import Suggestion
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.filters import is_done
from prompt_toolkit.input import Input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent, merge_key_bindings
from prompt_toolkit.key_binding.bindings.auto_suggest import load_auto_suggest_bindings
from prompt_toolkit.keys import Keys
from prompt_toolkit.layout import BufferControl, ConditionalContainer, FormattedTextControl, HSplit, Layout, Window
from prompt_toolkit.layout.processors import AppendAutoSuggestion, BeforeInput, ConditionalProcessor
from prompt_toolkit.output import Output

from src.text.prefixes import PrefixError, TweetCompleter, split_prefix

MAX_SUGGESTIONS = 9  # one for each digit key


@dataclass(frozen=True)
class Choice:
    """A suggestion.

    Attributes:
        words: what is shown, from the beginning of the half-typed word on.
        text: the text that it completes.
        tweet: the text with the suggestion and a space, as it is after the suggestion has been taken.
    """

    words: str
    text: str
    tweet: str

    def rest(self, text: str) -> str:
        """Return what is missing of the suggestion after more has been typed; "" if it does not agree with that."""
        return self.tweet.removeprefix(text) if text.startswith(self.text) and self.tweet.startswith(text) else ""


def choices(completer: TweetCompleter, text: str, n: int) -> list[Choice]:
    """Return at most n choices for a text that is being typed, best first; none if it can't be completed."""
    try:
        [suggestions] = completer.complete([text], n, half_typed=True)
    except PrefixError:
        return []
    _, typed = split_prefix(text, 0, True, completer.completes_first_words)
    beginning = text if typed or not text or text[-1].isspace() else f"{text} "
    return [Choice(one.text, text, f"{beginning}{one.text[len(typed) :]} ") for one in suggestions]


class Editor:
    """The line editor. The first suggestion follows the cursor as ghost text, and all are listed below the line.

    Tab or the right arrow takes the first, Alt+1, Alt+2, ... take any. Enter ends the tweet and prints how many keys
    were saved, Ctrl+C and Ctrl+D leave. The completer runs in a thread of its own, so typing never waits for it.

    Args:
        completer: completes the tweets.
        n: number of suggestions, at most `MAX_SUGGESTIONS`.
        input, output: the terminal; None: that of this process.

    Raises:
        ValueError: n is larger than `MAX_SUGGESTIONS`.
    """

    def __init__(self, completer: TweetCompleter, n: int = 3, input: Input | None = None, output: Output | None = None):
        if n > MAX_SUGGESTIONS:
            raise ValueError(f"n is {n}: the editor has keys for at most {MAX_SUGGESTIONS} suggestions")
        self.completer, self.n = completer, n
        self.choices: Sequence[Choice] = []
        # Keys pressed since the tweet began, without Enter. Alt and a digit are one key.
        self.keys = 0
        self.changed = asyncio.Event()
        self.buffer = Buffer(multiline=False, on_text_changed=self._ask, on_cursor_position_changed=self._ask)
        processors = [BeforeInput("> "), ConditionalProcessor(AppendAutoSuggestion(), ~is_done)]
        line = Window(BufferControl(self.buffer, processors), wrap_lines=True, dont_extend_height=True)
        below = Window(FormattedTextControl(self._listed), height=n)
        self.app: Application[str] = Application(
            Layout(HSplit([line, ConditionalContainer(below, ~is_done)])),
            key_bindings=merge_key_bindings([load_auto_suggest_bindings(), self._key_bindings()]),
            input=input,
            output=output,
        )
        # The list needs no answer of the terminal about its cursor, so nobody is warned that there is none.
        self.app.renderer.cpr_not_supported_callback = None
        self.app.key_processor.after_key_press += self._count_key

    def run(self) -> None:
        """Read tweets until the person leaves."""
        asyncio.run(self.read_tweets())

    async def read_tweets(self) -> None:
        thread = ThreadPoolExecutor(max_workers=1)

        def start() -> None:
            self.keys, self.choices = 0, []
            self.buffer.reset()
            self._ask()
            self.app.create_background_task(self._answer(thread))

        try:
            # Between two tweets too, so a Ctrl+D or Ctrl+C pressed there is read as a key.
            with self.app.input.raw_mode():
                while True:
                    print_savings(await self.app.run_async(pre_run=start), self.keys)
        except (EOFError, KeyboardInterrupt):
            return
        finally:
            thread.shutdown(wait=False, cancel_futures=True)

    def _ask(self, _: Buffer | None = None) -> None:
        """Keep the choices that still agree with the text, and ask for new ones."""
        self._show(self.choices)
        self.changed.set()

    async def _answer(self, thread: ThreadPoolExecutor) -> None:
        """Find choices for the newest text, again and again. Texts that have changed meanwhile are left out."""
        loop = asyncio.get_running_loop()
        while True:
            await self.changed.wait()
            self.changed.clear()
            text = self.buffer.text
            try:
                found = await loop.run_in_executor(thread, choices, self.completer, text, self.n)
            except Exception as error:
                self.app.exit(exception=error)
                return
            if text == self.buffer.text:
                self._show(found)

    def _show(self, found: Sequence[Choice]) -> None:
        text, at_end = self.buffer.text, self.buffer.document.is_cursor_at_the_end
        self.choices = [one for one in found if at_end and one.rest(text)]
        self.buffer.suggestion = Suggestion(self.choices[0].rest(text)) if self.choices else None
        self.app.invalidate()

    def _listed(self) -> str:
        return "\n".join(f"Alt+{i} {one.words}" for i, one in enumerate(self.choices, start=1))

    def _count_key(self, _: object) -> None:
        # Escape, which a terminal sends for Alt, waits in this buffer for the key that follows it.
        if not self.app.key_processor.key_buffer and not self.app.is_done:
            self.keys += 1

    def _take(self, i: int) -> None:
        if i < len(self.choices):
            self.buffer.insert_text(self.choices[i].rest(self.buffer.text))

    def _key_bindings(self) -> KeyBindings:
        bindings = KeyBindings()
        bindings.add("tab")(lambda _: self._take(0))
        for i in range(MAX_SUGGESTIONS):
            bindings.add("escape", str(i + 1))(lambda _, i=i: self._take(i))
        bindings.add("enter")(lambda event: event.app.exit(result=self.buffer.text.strip()))
        bindings.add("c-d")(lambda event: event.app.exit(exception=EOFError))
        for key in ("c-c", "<sigint>"):
            bindings.add(key)(lambda event: event.app.exit(exception=KeyboardInterrupt))

        @bindings.add(Keys.BracketedPaste)
        def paste(event: KeyPressEvent) -> None:
            # Pasting saves nothing that a suggestion could have saved, so each character counts as a key.
            self.buffer.insert_text(" ".join(event.data.splitlines()))
            self.keys += len(event.data) - 1

        return bindings


def print_savings(tweet: str, keys: int) -> None:
    if tweet:
        saved = len(tweet) - keys
        print(f"{len(tweet)} characters, {keys} keys: {saved} saved ({saved / len(tweet):.0%})")
