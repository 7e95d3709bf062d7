"""A small model hub on 127.0.0.1 that can be told to misbehave."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"
PAGE = b"<!DOCTYPE html><html><title>Please log in</title></html>"


@dataclass(frozen=True)
class Answer:
    """What the hub sends in place of a file.

    Attributes:
        cut: the connection breaks after this many bytes of the body; None: never.
        is_silent: the hub accepts the request and sends nothing, or nothing after `cut`.
        only_get: HEAD requests are answered with the file's true headers.
    """

    status: int = 200
    headers: dict = field(default_factory=dict)
    body: bytes = b""
    cut: int | None = None
    is_silent: bool = False
    only_get: bool = False


HTML = Answer(headers={"Content-Type": "text/html; charset=utf-8"}, body=PAGE)


class HubServer(ThreadingHTTPServer):
    """A hub that has the files of `folder` under every name of a model.

    Attributes:
        answers: an `Answer` by file name; "" is for every request without its own.
        requests: "METHOD path" of each request.
    """

    daemon_threads = True

    def __init__(self, folder: Path):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {path.name: path.read_bytes() for path in folder.iterdir()}
        self.answers, self.requests = {}, []
        self.closing = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request, client_address):
        """Say nothing about clients that closed the connection."""

    def environment(self, folder: Path) -> dict[str, str]:
        """The settings with which a new process asks this hub, with an empty cache in `folder`."""
        return {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(folder / "hf"),
            "HF_HUB_OFFLINE": "0",
            "no_proxy": "127.0.0.1",
        }


@contextmanager
def running_hub(folder: Path) -> Iterator[HubServer]:
    """A `HubServer` that runs until the block ends."""
    with HubServer(folder) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.closing.set()
            server.shutdown()
            thread.join()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server, name = self.server, self.path.split("?")[0].split("/")[-1]
        server.requests.append(f"{self.command} {self.path}")
        answer = server.answers.get(name) or server.answers.get("")
        if answer and not (answer.only_get and self.command == "HEAD"):
            self.send(answer)
        elif self.path.startswith("/api/models/"):
            files = [{"type": "file", "path": name, "size": 1, "oid": "0"} for name in server.files]
            about = {"id": "some/model", "sha": COMMIT}
            self.send(Answer(body=json.dumps(files if "/tree/" in self.path else about).encode()))
        elif name in server.files and "/resolve/" in self.path:
            self.send(Answer(headers=hub_headers(server.files[name]), body=server.files[name]))
        else:
            self.send(Answer(404, {"X-Repo-Commit": COMMIT, "X-Error-Code": "EntryNotFound"}))

    do_HEAD = do_GET

    def send(self, answer: Answer):
        if answer.is_silent and answer.cut is None:
            self.server.closing.wait()
            return
        self.send_response(answer.status)
        for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(answer.body[: answer.cut])
            if answer.is_silent:
                self.server.closing.wait()

    def log_message(self, *args):
        pass


def hub_headers(content: bytes) -> dict[str, str]:
    """The headers of a small file: its commit and, as its etag, its SHA-1 in git."""
    return {
        "X-Repo-Commit": COMMIT,
        "ETag": f'"{hashlib.sha1(b"blob %d" % len(content) + bytes(1) + content).hexdigest()}"',
    }
