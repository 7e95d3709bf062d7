"""Files are complete or absent, even on a full disk."""

import json
import math
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from src.files import json_text, write_atomically, write_json

ROOT = Path(__file__).resolve().parent.parent


def test_a_written_file_is_read_back_unchanged(tmp_path):
    assert write_atomically(tmp_path / "new" / "a.txt", "naïve\r\n").read_bytes() == "naïve\r\n".encode()
    assert write_atomically(tmp_path / "a.bin", b"\xff\r\n").read_bytes() == b"\xff\r\n"
    assert json.loads(write_json(tmp_path / "a.json", {"text": "é"}).read_text(encoding="utf-8")) == {"text": "é"}


NOT_FINITE = (math.nan, math.inf, -math.inf)


def test_every_row_of_a_table_has_a_line(tmp_path):
    value = {"rows": [{"a": 1, "b": "{"}, {"a": 2, "b": None}], "empty": [], "pairs": ((1, 2), {3: {"x": []}})}
    text = write_json(tmp_path / "a.json", value).read_text()
    assert json.loads(text) == json.loads(json.dumps(value))
    assert '    {"a": 1, "b": "{"},\n    {"a": 2, "b": null}\n' in text and '  "empty": [],\n' in text


@pytest.mark.parametrize("number", [*NOT_FINITE, *map(np.float64, NOT_FINITE)])
def test_a_number_that_json_does_not_have_becomes_null(tmp_path, number):
    value = {"a": [1, (2.5, number)], "b": {"c": number}}
    # Python's own reader accepts NaN, other languages' readers don't.
    text = write_json(tmp_path / "a.json", value).read_text()
    read = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert read == json.loads(json_text(value)) == {"a": [1, [2.5, None]], "b": {"c": None}}
    assert write_json(tmp_path / "b.json", number).read_text() == "null\n"


def test_a_file_in_place_of_the_folder_is_named_in_the_error(tmp_path):
    (tmp_path / "models").write_text("not a folder")
    with pytest.raises(
        OSError, match=r"models/a\.json can't be written \(.*\): free some space or choose another folder"
    ):
        write_json(tmp_path / "models" / "a.json", {})


def limit_files_to(num_bytes: int):
    """Return a function that imitates a full disk in a new process: no file may grow beyond `num_bytes`."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, num_bytes))


@pytest.mark.parametrize("num_bytes", [100, 10_000])
def test_a_full_disk_is_told_in_one_sentence_if_torch_saves(tmp_path, num_bytes):
    code = "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); from src.files import explain_full_disk; "
    code += "import sys, torch\nwith explain_full_disk('models'): torch.save(torch.zeros(100_000), sys.argv[1])"
    completed = subprocess.run(
        [sys.executable, "-B", "-c", code, str(tmp_path / "model.pt")],
        cwd=ROOT,
        preexec_fn=limit_files_to(num_bytes),
        capture_output=True,
        text=True,
    )
    assert "WriteError: [Errno 28] models can't be written, the disk is full: free some space" in completed.stderr


def test_on_a_full_disk_the_previous_file_is_unchanged(tmp_path):
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
    assert "result.json can't be written (File too large): free some space" in completed.stderr
    assert json.loads(path.read_text()) == {"score": 1}
    assert list(tmp_path.iterdir()) == [path]
