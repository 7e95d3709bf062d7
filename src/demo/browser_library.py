"""Fetch the library that runs an exported model in a browser: `python -m src.demo.browser_library`.

It is the wasm build of onnxruntime-web, two files of a package of npm's registry. Neither node nor npm is needed.
"""

import os
import re
import sys
import tarfile
from pathlib import Path
from shutil import copyfileobj

from filelock import FileLock

from src.corpus.download import DownloadError, download
from src.files import WriteError, explain_full_disk, publish

PACKAGE, VERSION = "onnxruntime-web", "1.30.0"
SHA256 = "d2228df7e4616bc3348bf504ee888f3bec43789a273f0a63f3e68d203ce3bf71"
NUM_BYTES = 33_106_585
ARCHIVE = f"{PACKAGE}-{VERSION}.tgz"
PROGRAM, WASM = "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"
FILES = (PROGRAM, WASM)
LIBRARY_DIR = Path(__file__).parent / f"{PACKAGE}-{VERSION}"
PUBLIC_REGISTRY = "https://registry.npmjs.org/"


def registry() -> str:
    """The address of npm's registry, from the environment or `~/.npmrc` as for npm itself, with a slash at its end."""
    settings = [value for name, value in os.environ.items() if name.lower() == "npm_config_registry"]
    npmrc = Path(os.environ.get("NPM_CONFIG_USERCONFIG") or Path.home() / ".npmrc")
    if npmrc.is_file():
        settings += re.findall(r"^\s*registry\s*=\s*[\"']?([^\s\"']+)", npmrc.read_text(encoding="utf-8"), re.MULTILINE)
    address = next(filter(None, settings), PUBLIC_REGISTRY)
    return address.rstrip("/") + "/"


def is_complete(library_dir: Path = LIBRARY_DIR) -> bool:
    """Tell whether the library is there."""
    return all((library_dir / name).is_file() for name in FILES)


def fetch_library(library_dir: Path = LIBRARY_DIR) -> Path:
    """Fetch the library into its folder, unless it is there.

    Raises:
        DownloadError: the registry can't be reached, or its file is not the expected one.
        WriteError: the disk is full.
    """
    if is_complete(library_dir):
        return library_dir
    library_dir.mkdir(parents=True, exist_ok=True)
    # Of two processes that want the library, one fetches it and the other waits.
    with FileLock(library_dir / ".lock"):
        if not is_complete(library_dir):
            archive = download(f"{registry()}{PACKAGE}/-/{ARCHIVE}", library_dir / ARCHIVE, SHA256, NUM_BYTES)
            unpack(archive, library_dir)
            archive.unlink()
    return library_dir


def unpack(archive: Path, library_dir: Path) -> None:
    """Write the library's files from the package into the folder."""
    with tarfile.open(archive) as package, explain_full_disk(library_dir):
        for name in FILES:
            partial = library_dir / f".{name}.partial"
            with package.extractfile(f"package/dist/{name}") as source, open(partial, "wb") as target:
                copyfileobj(source, target)
            publish(partial, library_dir / name)


def main() -> None:
    try:
        print(fetch_library())
    except (DownloadError, WriteError) as error:
        sys.exit(f"{error} The page works without it, with the models on the server.")


if __name__ == "__main__":
    main()
