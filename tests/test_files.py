"""Files are whole or not there, also where nothing more can be written."""

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from src.files import write_atomically, write_json

ROOT = Path(__file__).resolve().parent.parent


def test_what_is_written_is_read_back(tmp_path):
    assert write_atomically(tmp_path / "new" / "a.txt", "naïve\r\n").read_bytes() == "naïve\r\n".encode()
    assert json.loads(write_json(tmp_path / "a.json", {"text": "é"}).read_text(encoding="utf-8")) == {"text": "é"}


def test_a_folder_that_is_a_file_is_named(tmp_path):
    (tmp_path / "models").write_text("not a folder")
    with pytest.raises(OSError, match=r"models/a\.json can't be written \(.*\): make room or choose another folder"):
        write_json(tmp_path / "models" / "a.json", {})


def limit_files_to(num_bytes: int):
    """A full disk for a process that is about to start: no file may grow beyond this."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, num_bytes))


def test_a_full_disk_leaves_what_was_there(tmp_path):
    path = tmp_path / "result.json"
    write_json(path, {"score": 1})
    code = "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); from src.files import write_json; import sys;"
    code += "write_json(sys.argv[1], ['x' * 100_000])"
    completed = subprocess.run(
        [sys.executable, "-B", "-c", code, str(path)],
        cwd=ROOT,
        preexec_fn=limit_files_to(10_000),
        capture_output=True,
        text=True,
    )
    assert "result.json can't be written (File too large): make room" in completed.stderr
    assert json.loads(path.read_text()) == {"score": 1}
    assert list(tmp_path.iterdir()) == [path]
