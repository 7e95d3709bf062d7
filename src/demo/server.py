"""The server of the page. It answers requests from this machine only.

Each model answers one question at a time. If too many wait, new ones are refused at once. If more has been typed, the
page withdraws its question, which is then not answered.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from fastapi import FastAPI, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, Field
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from src.text.prefixes import Completion, PrefixError, TweetCompleter, split_prefix

PAGE_DIR = Path(__file__).parent / "page"
LOCAL_HOSTS = ["127.0.0.1", "localhost"]
MAX_BODY_BYTES = 200_000
MAX_CHARACTERS = 20_000
# Only this many characters at the end of a text are read. A tweet has fewer.
MAX_READ = 500
MAX_WAITING = 64
NUM_SUGGESTIONS = 3
# Only notebooks on this machine may show the page in a frame.
FRAMING = "frame-ancestors 'self' http://localhost:* http://127.0.0.1:*"
SECURITY_HEADERS = {
    "Content-Security-Policy": f"default-src 'self'; img-src 'self' data:; {FRAMING}",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


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
    """Lets a model answer one question at a time."""

    def __init__(self, completer: TweetCompleter):
        self.completer, self.lock, self.waiting = completer, asyncio.Lock(), 0

    async def answer(self, text: str, is_withdrawn: Callable[[], Awaitable[bool]]) -> Answer:
        """Answer a question in its turn.

        Args:
            text: the text in the box.
            is_withdrawn: tells whether the page has withdrawn the question, for example for a newer one.

        Raises:
            HTTPException: too many questions wait, or this one was withdrawn.
        """
        if self.waiting >= MAX_WAITING:
            raise HTTPException(503, "Too many questions are waiting; try again in a moment.")
        self.waiting += 1
        try:
            async with self.lock:
                if await is_withdrawn():
                    raise HTTPException(408, "The question was withdrawn.")
                started = time.perf_counter()
                suggestions, typed = await run_in_threadpool(suggest, self.completer, text)
                milliseconds = 1e3 * (time.perf_counter() - started)
        finally:
            self.waiting -= 1
        return Answer(suggestions=suggestions, typed=typed, milliseconds=milliseconds)


def suggest(completer: TweetCompleter, text: str) -> tuple[list[Completion], str]:
    """Return suggestions, none if the text has no complete word, and the half-typed letters that they begin with."""
    if len(text) > MAX_READ:
        text = text[-MAX_READ:].partition(" ")[2]
    try:
        _, typed = split_prefix(text, 0, half_typed=True)
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


def create_app(completers: dict[str, TweetCompleter]) -> FastAPI:
    """Return the app that serves the page and answers its questions.

    Args:
        completers: the models, by the names that the page shows.
    """
    app = FastAPI(title="Tweet completion", docs_url=None, redoc_url=None, openapi_url=None)
    queues = {name: ModelQueue(completer) for name, completer in completers.items()}

    app.add_middleware(Guard)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=LOCAL_HOSTS)

    @app.exception_handler(RequestValidationError)
    def refuse_question(request: Request, error: RequestValidationError) -> JSONResponse:
        # FastAPI's own response would repeat the question, which may contain anything.
        return JSONResponse(
            {"detail": f"A question has a model and a text of at most {MAX_CHARACTERS:,} characters."}, 422
        )

    @app.get("/models")
    def models() -> list[str]:
        return list(queues)

    @app.post("/suggestions")
    async def suggestions(question: Question, request: Request) -> Answer:
        if question.model not in queues:
            raise HTTPException(404, f"There is no model {question.model!r}; choose one of {', '.join(queues)}.")
        return await queues[question.model].answer(question.text, request.is_disconnected)

    app.mount("/", StaticFiles(directory=PAGE_DIR, html=True))
    return app
