"""The library for browsers is fetched from npm's registry, checked, and never half there."""

import hashlib
import io
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from src.corpus.download import DownloadError, WrongBytesError
from src.demo import browser_library
from src.demo.browser_library import (
    ARCHIVE,
    FILES,
    PACKAGE,
    PUBLIC_REGISTRY,
    fetch_library,
    is_complete,
    main,
    registry,
)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """The package in a folder that a registry serves; the environment names this registry."""
    path = tmp_path / "registry" / PACKAGE / "-" / ARCHIVE
    path.parent.mkdir(parents=True)
    with tarfile.open(path, "w:gz") as package:
        for name in (*FILES, "../../outside"):
            content = name.encode()
            member = tarfile.TarInfo(f"package/dist/{name}")
            member.size = len(content)
            package.addfile(member, io.BytesIO(content))
    monkeypatch.setattr(browser_library, "SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    monkeypatch.setattr(browser_library, "NUM_BYTES", path.stat().st_size)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path / "registry"))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("npm_config_registry", f"http://127.0.0.1:{server.server_port}")
    yield path
    server.shutdown()
    server.server_close()


def test_the_library_is_fetched_once(archive, tmp_path):
    folder = tmp_path / "library"
    assert not is_complete(folder)
    assert fetch_library(folder) == folder and is_complete(folder)
    assert {path.name for path in folder.iterdir()} - {".lock"} == set(FILES)
    assert [(folder / name).read_text() for name in FILES] == list(FILES)
    archive.unlink()
    assert fetch_library(folder) == folder


def test_two_processes_that_fetch_it_at_once_both_find_it(archive, tmp_path):
    threads = [threading.Thread(target=fetch_library, args=[tmp_path / "library"]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert is_complete(tmp_path / "library")


def test_another_file_is_refused(archive, tmp_path):
    archive.write_bytes(bytes(archive.stat().st_size))
    with pytest.raises(WrongBytesError, match="is not the expected file"):
        fetch_library(tmp_path / "library")
    assert not is_complete(tmp_path / "library")


def test_without_the_registry_one_sentence_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9/mirror")
    address = rf"http://127\.0\.0\.1:9/mirror/{PACKAGE}/-/{ARCHIVE}"
    with pytest.raises(DownloadError, match=rf"{address} cannot be reached \(ConnectionError\)"):
        fetch_library(tmp_path / "library")
    monkeypatch.setattr(browser_library, "fetch_library", partial(fetch_library, tmp_path / "library"))
    with pytest.raises(
        SystemExit, match=r"cannot be reached .* The page works without it, with the models on the server"
    ):
        main()


def test_the_registry_is_that_of_npm(tmp_path, monkeypatch):
    for name in ("npm_config_registry", "NPM_CONFIG_REGISTRY"):
        monkeypatch.delenv(name, raising=False)
    npmrc = tmp_path / "npmrc"
    monkeypatch.setenv("NPM_CONFIG_USERCONFIG", str(npmrc))
    assert registry() == PUBLIC_REGISTRY
    lines = [
        "fund=false",
        "# registry=http://commented",
        "@mine:registry=http://mine",
        " registry = 'http://mirror/npm'",
    ]
    npmrc.write_text("\n".join(lines))
    assert registry() == "http://mirror/npm/"
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", "http://other/")
    assert registry() == "http://other/"
