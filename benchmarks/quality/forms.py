"""Which form of the transformer is the fastest on a CPU, and what does each form lose?

`python -m benchmarks.quality.forms` scores the newest fine-tuned transformer in each form on validation tweets, times
all forms in turns on one thread, and writes `benchmarks/results/forms.json`. The LSTM in its fastest form is timed
beside them. llama.cpp takes part if it is installed and the transformer is SmolLM2.
"""

import argparse
import warnings
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from torch.ao.quantization import quantize_dynamic as quantize_torch
from transformers import LlamaForCausalLM

from benchmarks.common import prepared_corpus, write_results
from benchmarks.quality.llama import FORMATS, LlamaCpp, NotInstalledError, load_library, quantise_gguf, write_gguf
from benchmarks.speed.suggestions import NUM_TOKENS, quantiles, suggest_by, suggest_by_onnx
from src.completion.decoding import GREEDY
from src.deploy.export import export_onnx
from src.deploy.export_transformer import export_float32, export_transformer
from src.deploy.onnx_lstm import INT8_FILE, ONNX_FILE, OnnxLSTM
from src.deploy.onnx_transformer import OnnxTransformer
from src.evaluation.intervals import estimate
from src.evaluation.metrics import next_word_scores, perplexity_per_word
from src.evaluation.selection import validation_texts
from src.evaluation.systems import ModelSystem, OnnxSystem, as_pairs
from src.models.pretrained import PRETRAINED_NAMES, PretrainedLM, load_pretrained
from src.report.tables import markdown_table
from src.runs import find_run

NUM_PAIRS, NUM_PREFIXES, ROUNDS = 200, 20, 3
PREFIXES_OF_A_TURN = 5
ONE_SCALE_FILE = "model.one-scale.onnx"

Form = ModelSystem | OnnxSystem | LlamaCpp


def forms(lm: PretrainedLM, run_dir: Path, folder: Path) -> Iterator[tuple[str, float, Form]]:
    """Yield the name of each form of a transformer, its size in MB and the form.

    Args:
        run_dir: the transformer's run folder; its export in int8 is written there.
        folder: an empty folder for all other files.
    """
    for name, model in torch_forms(lm).items():
        torch.save(model.state_dict(), folder / "model.pt")
        yield f"torch, {name}", size(folder / "model.pt"), ModelSystem(name, model, lm.tokenizer)
    export_float32(lm.model, folder / ONNX_FILE)
    kinds = {"weight_type": QuantType.QInt8, "per_channel": True, "op_types_to_quantize": ["MatMul", "Gemm"]}
    quantize_dynamic(folder / ONNX_FILE, folder / ONE_SCALE_FILE, **kinds)
    export_transformer(run_dir)
    files = {
        "float32": folder / ONNX_FILE,
        "int8, one scale for all inputs of a layer": folder / ONE_SCALE_FILE,
        "int8, scales for blocks": run_dir / INT8_FILE,
    }
    for name, path in files.items():
        model = OnnxTransformer(run_dir, path.resolve())
        yield f"ONNX, {name}", size(path), ModelSystem(name, model, lm.tokenizer)
    if not isinstance(lm.model, LlamaForCausalLM):
        return
    try:
        load_library()
    except NotInstalledError as error:
        print(f"Left out: {error}")
        return
    write_gguf(lm.model, folder / "model.gguf")
    for name in FORMATS:
        path = folder / f"{name}.gguf"
        quantise_gguf(folder / "model.gguf", path, name)
        yield f"llama.cpp, {name}", size(path), LlamaCpp(path, lm.tokenizer)


def torch_forms(lm: PretrainedLM) -> dict[str, torch.nn.Module]:
    with warnings.catch_warnings():
        # torch warns that quantisation moves to another package.
        warnings.simplefilter("ignore")
        int8 = quantize_torch(deepcopy(lm.model), {torch.nn.Linear}, dtype=torch.qint8)
    return {"float32": lm.model, "bfloat16": deepcopy(lm.model).bfloat16(), "int8": int8}


def size(path: Path) -> float:
    return path.stat().st_size / 1e6


def scores(form: Form, texts: Sequence[str]) -> dict:
    """Perplexity per word and next-word accuracy, with the next words themselves."""
    pairs = as_pairs(texts)
    words = form.next_words([pair.context for pair in pairs])
    found = next_word_scores(words, [pair.target for pair in pairs])["next_word"].to_numpy()
    return {
        "perplexity_per_word": estimate(perplexity_per_word(form.likelihood(texts)), seed=0),
        "next_word": float(found.mean()),
        "words": [candidates[0] for candidates in words],
    }


def suggester(form: Form) -> Callable[[str], float]:
    """A function that completes a prefix with `NUM_TOKENS` tokens and returns the seconds that this takes."""
    if isinstance(form, ModelSystem):
        return lambda prefix: suggest_by(form, 1, GREEDY, prefix).total

    def suggest(prefix: str) -> float:
        started = perf_counter()
        form.suggest(prefix, NUM_TOKENS)
        return perf_counter() - started

    return suggest


def latencies(suggesters: dict[str, Callable[[str], float]], prefixes: Sequence[str]) -> dict[str, dict[str, float]]:
    """Quantiles over prefixes of the median over rounds, in ms. The forms take turns of several prefixes."""
    seconds: dict[str, list[float]] = {name: [] for name in suggesters}
    for _ in range(ROUNDS):
        for start in range(0, len(prefixes), PREFIXES_OF_A_TURN):
            for name, suggest in suggesters.items():
                seconds[name] += map(suggest, prefixes[start : start + PREFIXES_OF_A_TURN])
    medians = {name: np.median(np.reshape(times, (ROUNDS, -1)), axis=0) for name, times in seconds.items()}
    return {name: quantiles(list(times)) for name, times in medians.items()}


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    torch.set_num_threads(1)
    tweets, data = prepared_corpus()
    texts = validation_texts(tweets, 0, NUM_PAIRS)
    lstm_dir, run_dir = find_run("lstm_lm", data=data), find_run(*PRETRAINED_NAMES, data=data)
    export_onnx(lstm_dir)
    lm = load_pretrained(run_dir, device="cpu")
    with TemporaryDirectory() as folder:
        found = {name: (megabytes, form) for name, megabytes, form in forms(lm, run_dir, Path(folder))}
        suggesters = {name: suggester(form) for name, (_, form) in found.items()}
        found["LSTM, ONNX int8"] = size(lstm_dir / INT8_FILE), OnnxSystem("LSTM", OnnxLSTM(lstm_dir))
        onnx_lstm = suggest_by_onnx(lstm_dir, "int8")
        suggesters["LSTM, ONNX int8"] = lambda prefix: onnx_lstm(prefix).total
        times = latencies(suggesters, [pair.context for pair in as_pairs(texts[:NUM_PREFIXES])])
        print(markdown_table([{"form": name, **row} for name, row in times.items()]))
        results = {name: scores(form, texts) for name, (_, form) in found.items()}
    exact = results["torch, float32"]["words"]
    rows = [
        {
            "form": name,
            "MB": round(found[name][0], 1),
            **times[name],
            "perplexity per word": str(result["perplexity_per_word"]),
            "next-word accuracy": round(result["next_word"], 3),
            "same next word as float32": round(np.mean([a == b for a, b in zip(result["words"], exact)]), 3),
        }
        for name, result in results.items()
    ]
    rows[-1]["same next word as float32"] = ""  # the LSTM is another model
    print(markdown_table(rows))
    settings = {"pairs": len(texts), "prefixes": NUM_PREFIXES, "tokens": NUM_TOKENS, "threads": 1, "seed": 0}
    settings |= {"rounds": ROUNDS, "runs": [run_dir.name, lstm_dir.name]}
    write_results("forms", data, settings, rows, command="python -m benchmarks.quality.forms")


if __name__ == "__main__":
    main()
