"""The server of the page. It answers requests from this machine only.

Each model answers one question at a time. If too many wait, new ones are refused at once. When the user types more, the
page cancels its earlier question; if that one is still waiting, it is not answered.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fastapi import FastAPI, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, Field
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from src.demo import browser_library
from src.deploy.device import SETTINGS_FILE
from src.deploy.ngram_file import NGRAM_FILE
from src.deploy.onnx_lstm import INT8_FILE
from src.text.offensive import FilteredCompleter, offensive_words
from src.text.prefixes import Completion, PrefixError, TweetCompleter, split_prefix

PAGE_DIR = Path(__file__).parent / "page"
LOCAL_HOSTS = ["127.0.0.1", "localhost"]
MAX_BODY_BYTES = 200_000
MAX_CHARACTERS = 20_000
# Only this many characters at the end of a text are read. A tweet has fewer.
MAX_READ = 500
MAX_WAITING = 64
NUM_SUGGESTIONS = 3
# The files that a model needs in a browser, in the folder `device` of its run.
DEVICE_FILES = (INT8_FILE, NGRAM_FILE, "tokenizer.json", SETTINGS_FILE)
# Only notebooks on this machine may show the page in a frame.
FRAMING = "frame-ancestors 'self' http://localhost:* http://127.0.0.1:*"
# A browser compiles the program of a model that runs in the page only if this is allowed.
SCRIPTS = "script-src 'self' 'wasm-unsafe-eval'"
SECURITY_HEADERS = {
    "Content-Security-Policy": f"default-src 'self'; {SCRIPTS}; img-src 'self' data:; {FRAMING}",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True)
class PageModel:
    """A model of the page.

    Attributes:
        name: what the page calls it.
        about: which run it is, what that was trained on and how well it scored, in words.
        load: returns its completer; called when the page first asks the model.
        side_by_side: the page shows it beside other models; otherwise only if it is chosen alone.
        device_dir: a folder with all `DEVICE_FILES`, from which it can also run in a browser; None if there is none.
    """

    name: str
    about: str
    load: Callable[[], TweetCompleter]
    side_by_side: bool = True
    device_dir: Path | None = None


class Question(BaseModel):
    """The text in the box, and the name of the model that completes it."""

    model: str
    text: str = Field(max_length=MAX_CHARACTERS)


class Answer(BaseModel):
    """Suggestions, best first; each begins with `typed`, the letters of a half-typed word, or ""."""

    suggestions: list[Completion]
    typed: str
    milliseconds: float


class ModelQueue:
    """Lets a model answer one question at a time, without some words."""

    def __init__(self, model: PageModel, left_out: frozenset[str]):
        self.model, self.left_out, self.lock, self.waiting = model, left_out, asyncio.Lock(), 0
        self.completer: TweetCompleter | None = None

    async def answer(self, text: str, is_withdrawn: Callable[[], Awaitable[bool]]) -> Answer:
        """Answer a question in its turn.

        Args:
            text: the text in the box.
            is_withdrawn: tells whether the page has withdrawn the question, for example for a newer one.

        Raises:
            HTTPException: too many questions wait, this one was withdrawn, or the model can't be loaded.
        """
        if self.waiting >= MAX_WAITING:
            raise HTTPException(503, "Too many questions are waiting; try again in a moment.")
        self.waiting += 1
        try:
            async with self.lock:
                if await is_withdrawn():
                    raise HTTPException(408, "The question was withdrawn.")
                if self.completer is None:
                    self.completer = await run_in_threadpool(self.load)
                started = time.perf_counter()
                suggestions, typed = await run_in_threadpool(suggest, self.completer, text)
                milliseconds = 1e3 * (time.perf_counter() - started)
        finally:
            self.waiting -= 1
        return Answer(suggestions=suggestions, typed=typed, milliseconds=milliseconds)

    def load(self) -> TweetCompleter:
        try:
            return FilteredCompleter(self.model.load(), self.left_out)
        except Exception as error:  # The libraries raise errors of many types for a broken file.
            raise HTTPException(500, f"{self.model.name} can't be loaded: {error}") from error


def suggest(completer: TweetCompleter, text: str) -> tuple[list[Completion], str]:
    """Return suggestions, and the half-typed letters that they begin with.

    There are none for a text that the completer can't complete, such as an empty one if it can't complete first words.
    """
    is_cut = len(text) > MAX_READ
    if is_cut:
        text = text[-MAX_READ:].partition(" ")[2]
    try:
        # What is left of a cut text does not begin a tweet.
        first_words = completer.completes_first_words and not is_cut
        _, typed = split_prefix(text, 0, half_typed=True, first_words=first_words)
        return completer.complete([text], NUM_SUGGESTIONS, half_typed=True)[0], typed
    except PrefixError:
        return [], ""


class Guard:
    """Middleware that refuses other origins and long bodies, and tells the browser to load nothing from elsewhere."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif refusal := refuse(scope["scheme"], scope["method"], Headers(scope=scope)):
            await refusal(scope, receive, send)
        else:

            async def send_with_headers(message: Message) -> None:
                if message["type"] == "http.response.start":
                    MutableHeaders(scope=message).update(SECURITY_HEADERS)
                await send(message)

            await self.app(scope, receive, send_with_headers)


def refuse(scheme: str, method: str, headers: Headers) -> JSONResponse | None:
    """Return the response to a request that must not reach the models; None for any other request."""
    origin, length = headers.get("origin"), headers.get("content-length", "")
    if origin is not None and origin != f"{scheme}://{headers.get('host')}":
        return JSONResponse({"detail": f"Requests from {origin} are not answered."}, 403)
    if method == "POST" and (not length.isdecimal() or "transfer-encoding" in headers):
        return JSONResponse({"detail": "Say how long the request is (Content-Length)."}, 411)
    if length.isdecimal() and int(length) > MAX_BODY_BYTES:
        return JSONResponse({"detail": f"A request has at most {MAX_BODY_BYTES:,} bytes."}, 413)
    return None


def refusal_reason(error: RequestValidationError) -> str:
    """Say what is wrong with a question, without repeating it: it may contain anything."""
    problems = {problem["type"] for problem in error.errors()}
    if "string_unicode" in problems:
        return "The question contains half a character, such as half an emoji: send complete characters."
    if "string_too_long" in problems:
        return f"A text has at most {MAX_CHARACTERS:,} characters."
    return "A question is a JSON object with a model and a text, both strings."


def create_app(models: Sequence[PageModel], allow_offensive_words: bool = False) -> FastAPI:
    """Return the app that serves the page and answers its questions.

    Args:
        models: the models, in the order in which the page shows them; their names differ.
        allow_offensive_words: suggest the words of `src.text.offensive.offensive_words` too.

    Raises:
        WordListError: the list of offensive words is needed and can't be read.
    """
    left_out = frozenset() if allow_offensive_words else offensive_words()
    app = FastAPI(title="Tweet completion", docs_url=None, redoc_url=None, openapi_url=None)
    queues = {model.name: ModelQueue(model, left_out) for model in models}
    folders = list(dict.fromkeys(model.device_dir for model in models if model.device_dir is not None))

    app.add_middleware(Guard)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=LOCAL_HOSTS)

    @app.exception_handler(RequestValidationError)
    def refuse_question(request: Request, error: RequestValidationError) -> JSONResponse:
        return JSONResponse({"detail": refusal_reason(error)}, 422)

    @app.get("/models")
    def list_models() -> list[dict[str, str | bool | None]]:
        is_possible = browser_library.is_complete()
        return [
            {
                "name": one.name,
                "about": one.about,
                "side_by_side": one.side_by_side,
                "device": f"device/{folders.index(one.device_dir)}/" if is_possible and one.device_dir else None,
            }
            for one in models
        ]

    @app.get("/device/{folder}/{name}")
    def device_file(folder: int, name: str) -> FileResponse:
        if not 0 <= folder < len(folders) or name not in DEVICE_FILES:
            raise HTTPException(404, "There is no such file.")
        return FileResponse(folders[folder] / name)

    @app.get("/left-out-words")
    def left_out_words() -> list[str]:
        """The words that a model which runs in the browser must leave out too."""
        return sorted(left_out)

    @app.post("/suggestions")
    async def suggestions(question: Question, request: Request) -> Answer:
        if question.model not in queues:
            raise HTTPException(404, f"There is no model {question.model!r}; choose one of {', '.join(queues)}.")
        return await queues[question.model].answer(question.text, request.is_disconnected)

    library = StaticFiles(directory=browser_library.LIBRARY_DIR, check_dir=False)
    app.mount(f"/{browser_library.PACKAGE}", library)
    app.mount("/", StaticFiles(directory=PAGE_DIR, html=True))
    return app
