"""The models of the newest run folders, each as a function from prefixes to suggestions."""

from collections.abc import Callable, Sequence
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from src.completion.completer import complete
from src.completion.prefix_memory import PrefixMemory
from src.deploy.export import export_onnx
from src.deploy.onnx_lstm import INT8_FILE, OnnxLSTM
from src.lstm_model import load_lstm_lm
from src.models.pretrained import PRETRAINED_NAMES, load_pretrained
from src.runs import find_run, find_runs
from src.text.prefixes import Completion

# From prefixes whose last word may be half typed, and a number of suggestions for each.
Completer = Callable[[Sequence[str], int], list[list[Completion]]]


def newest_completers(models_dir: str | Path = "models") -> dict[str, Completer]:
    """The LSTM, its int8 export, made where it is missing, and the fine-tuned transformer if there is one.

    Raises:
        RunError: there is no LSTM.
    """
    run_dir = find_run("lstm_lm", models_dir=models_dir)
    tokenizer, model, _, _ = load_lstm_lm(run_dir, device="cpu")
    completers = {"LSTM": with_memory(model, tokenizer)}
    if not (run_dir / INT8_FILE).is_file():
        export_onnx(run_dir)
    onnx_lstm = OnnxLSTM(run_dir)
    completers["LSTM int8"] = lambda prefixes, n: onnx_lstm.complete(prefixes, n, half_typed=True)
    for transformer_dir in find_runs(*PRETRAINED_NAMES, models_dir=models_dir)[:1]:
        lm = load_pretrained(transformer_dir)
        completers[lm.name] = with_memory(lm.model, lm.tokenizer)
    return completers


def with_memory(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Completer:
    """A model that goes on from what it has read of the same beginning before."""
    memory = PrefixMemory(model)
    return lambda prefixes, n: complete(model, tokenizer, prefixes, n, half_typed=True, memory=memory)
