"""Load from the model hub without long waits, and leave no damaged file in its cache."""

import hashlib
import logging
import os
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import rmtree

from huggingface_hub import constants, get_hf_file_metadata, get_session, hf_hub_url
from huggingface_hub.errors import HfHubHTTPError, HFValidationError

HUB_TIMEOUT = 5  # seconds without an answer
MAX_TRIES = 3  # number of requests for one file; all but the first resume a broken download
# huggingface_hub repeats a request that gets one of these statuses, for 23 seconds or for as long as the hub asks.
REPEATED_STATUSES = {408, 429, 500, 502, 503, 504}


class HubError(Exception):
    """The hub does not deliver the model; the message says what it answered."""


class NoSuchModelError(HubError):
    """The hub answered that it has no such model."""


def check_hub(name: str) -> None:
    """Ask the hub for a model's config.json, for at most HUB_TIMEOUT seconds.

    Raises:
        NoSuchModelError: the hub has no model of this name.
        HubError: the hub can't be reached, or it answers with anything but the file.
    """
    outcomes = []

    def ask() -> None:
        try:
            url = hf_hub_url(name, "config.json")
            # Longer than the wait below, which therefore gives the message.
            outcomes.append((url, get_hf_file_metadata(url, timeout=2 * HUB_TIMEOUT)))
        except Exception as error:
            outcomes.append((name, error))

    # A socket's timeout limits neither the lookup of the hub's address nor the sum over its addresses.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(HUB_TIMEOUT)
    if not outcomes:
        raise HubError(_no_answer())
    [(url, outcome)] = outcomes
    if isinstance(outcome, HFValidationError) or (isinstance(outcome, HfHubHTTPError) and _is_missing(outcome)):
        raise NoSuchModelError(f"{constants.ENDPOINT} has no model {name} that you may read")
    if isinstance(outcome, Exception):
        raise HubError(_no_file(outcome)) from outcome
    if outcome.commit_hash is None:
        where = "" if outcome.location == url else f" ({outcome.location[:100]})"
        raise HubError(f"{constants.ENDPOINT} answered with a page{where} instead of the model")


class _OneTry:
    """Sends requests with an HTTP client's `send` method and raises an error where huggingface_hub would wait."""

    def __init__(self, send):
        self.send, self.refusals, self.tries = send, [], Counter()

    def __call__(self, request, **kwargs):
        # What the hub tells about a model is not needed; its files are.
        is_file = "/api/models/" not in request.url.path
        if request.method == "GET" and is_file:
            self.tries[request.url] += 1
            if self.tries[request.url] > MAX_TRIES:
                raise HubError(f"{constants.ENDPOINT} broke off the download {MAX_TRIES} times")
        request.extensions["timeout"] = dict.fromkeys(("connect", "read", "write", "pool"), HUB_TIMEOUT)
        try:
            response = self.send(request, **kwargs)
        except Exception as error:
            raise HubError(_no_file(error)) from error
        refusal = _status(response)
        is_page = response.is_success and response.headers.get("Content-Type", "").startswith("text/html")
        if is_page:
            refusal = f"{constants.ENDPOINT} answered with a web page instead of {Path(request.url.path).name}"
        if is_file and response.is_error and response.status_code != 404:
            self.refusals.append(refusal)
        if is_page or response.status_code in REPEATED_STATUSES:
            response.close()
            raise HubError(refusal) if is_file else HfHubHTTPError(refusal, response=response)
        return response


@contextmanager
def one_try() -> Iterator[list[str]]:
    """Let huggingface_hub fail at once where it would wait and repeat a request.

    Inside, a request for a file raises HubError if it gets no answer within HUB_TIMEOUT seconds, one of
    REPEATED_STATUSES or a web page, or if it is one more than MAX_TRIES.

    Yields:
        A list that grows by one phrase for every file that the hub refuses. The libraries hide some of these answers.
    """
    session = get_session()
    session.send = one_try_send = _OneTry(session.send)
    # Xet, the hub's own protocol for large files, has retries of its own that can't be limited.
    xet, constants.HF_HUB_DISABLE_XET = constants.HF_HUB_DISABLE_XET, True
    try:
        yield one_try_send.refusals
    finally:
        constants.HF_HUB_DISABLE_XET = xet
        vars(session).pop("send", None)


@contextmanager
def quiet_hub() -> Iterator[None]:
    """Silence what huggingface_hub, and transformers on its behalf, log about single requests, and its telemetry.

    For telemetry it asks the hub a question of its own before the first request, even before it reads local files only.
    If the hub's address can't be looked up, that question may wait forever.
    """
    loggers = [logging.getLogger(name) for name in ("huggingface_hub", "transformers.utils.hub")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    telemetry, constants.HF_HUB_DISABLE_TELEMETRY = constants.HF_HUB_DISABLE_TELEMETRY, True
    try:
        yield
    finally:
        constants.HF_HUB_DISABLE_TELEMETRY = telemetry
        for logger, level in zip(loggers, levels):
            logger.setLevel(level)


def explain(error: Exception, refusals: Sequence[str]) -> str:
    """Say in one phrase why a model of the hub was not loaded.

    Args:
        error: what was raised, with its causes.
        refusals: as `one_try` yields them.
    """
    for cause in _causes(error):
        if isinstance(cause, HubError):
            return str(cause)
    # After a refusal transformers only says that files are missing.
    if refusals and isinstance(error, OSError):
        return refusals[-1]
    return f"what {constants.ENDPOINT} delivered can't be loaded ({_short(error)})"


def _no_file(error: Exception) -> str:
    """Say in one phrase why a request to the hub failed."""
    for cause in _causes(error):
        if isinstance(cause, HfHubHTTPError):
            return _status(cause.response)
        if isinstance(cause, TimeoutError):
            return _no_answer()
    return f"{constants.ENDPOINT} can't be reached ({_short(error)})"


def _no_answer() -> str:
    return f"{constants.ENDPOINT} gave no answer within {HUB_TIMEOUT} seconds"


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:400]}"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _status(response) -> str:
    message = response.headers.get("X-Error-Message", response.reason_phrase)
    return f"{constants.ENDPOINT} answered with HTTP status {response.status_code} ({message[:200]})"


def _is_missing(error: HfHubHTTPError) -> bool:
    """Tell whether the hub says that it has no such repository."""
    headers = error.response.headers
    # Without a token the hub answers 401 for a missing repository, so that nobody can list the private ones.
    code, message = headers.get("X-Error-Code"), headers.get("X-Error-Message")
    return code == "RepoNotFound" or (
        code is None and error.response.status_code == 401 and message == "Invalid username or password."
    )


def remove_damaged_files(name: str, also_unchecked: bool = False) -> None:
    """Remove a model's damaged files from the hub's cache, so that the next attempt downloads them again.

    A file of the cache is a link to a file that has its hash as its name.

    Args:
        also_unchecked: remove files without a hash, too.
    """
    folder = Path(constants.HF_HUB_CACHE, f"models--{name.replace('/', '--')}")
    for path in [path for path in folder.glob("snapshots/*/**/*") if path.is_symlink() or path.is_file()]:
        blob = path.parent / os.readlink(path) if path.is_symlink() else path
        is_intact = blob.is_file() and _has_its_hash(blob)
        if is_intact is False or (also_unchecked and is_intact is None):
            # A cache that may not be changed stays as it is.
            with suppress(OSError):
                path.unlink()
                blob.unlink(missing_ok=True)
    # The record of files that the hub said it does not have.
    rmtree(folder / ".no_exist", ignore_errors=True)


def _has_its_hash(blob: Path) -> bool | None:
    """Tell whether a file's name is its SHA-256 or, as in git, its SHA-1; None if the name is no hash."""
    if len(blob.name) not in (40, 64) or not set(blob.name) <= set("0123456789abcdef"):
        return None
    digest = hashlib.sha256() if len(blob.name) == 64 else hashlib.sha1(b"blob %d\0" % blob.stat().st_size)
    with blob.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest() == blob.name
