"""Load the newest models for the page."""

from pathlib import Path

from src.completion.completer import Completer
from src.completion.prefix_memory import PrefixMemory
from src.deploy.export import export_onnx
from src.deploy.onnx_lstm import INT8_FILE, OnnxLSTM
from src.lstm_model import load_lstm_lm
from src.models.pretrained import PRETRAINED_NAMES, load_pretrained
from src.runs import find_run, find_runs
from src.text.prefixes import TweetCompleter


def newest_completers(models_dir: str | Path = "models") -> dict[str, TweetCompleter]:
    """Load the LSTM, its int8 export and, if there is one, the fine-tuned transformer.

    The LSTM is exported if it has not been exported yet.

    Returns:
        completers by the names that the page shows.

    Raises:
        RunError: there is no LSTM.
        WriteError: the disk is full, so the LSTM can't be exported.
    """
    run_dir = find_run("lstm_lm", models_dir=models_dir)
    tokenizer, model, _, _ = load_lstm_lm(run_dir, device="cpu")
    if not (run_dir / INT8_FILE).is_file():
        export_onnx(run_dir)
    completers: dict[str, TweetCompleter] = {
        "LSTM": Completer(model, tokenizer, memory=PrefixMemory(model)),
        "LSTM int8": OnnxLSTM(run_dir),
    }
    for transformer_dir in find_runs(*PRETRAINED_NAMES, models_dir=models_dir)[:1]:
        lm = load_pretrained(transformer_dir)
        completers[lm.name] = Completer(lm.model, lm.tokenizer, memory=PrefixMemory(lm.model))
    return completers
