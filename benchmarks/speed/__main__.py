"""How fast everything is on this machine: `make bench`, or `python -m benchmarks.speed PART ...`.

Each part writes `benchmarks/results/speed-<part>.json`; the tables in `benchmarks/RESULTS.md` are made from them.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from benchmarks.common import RESULTS_DIR, prepared_corpus, write_results
from benchmarks.speed import (
    data as data_speed,
)
from benchmarks.speed import (
    finetuning as finetuning_speed,
)
from benchmarks.speed import (
    suggestions as suggestion_speed,
)
from benchmarks.speed import (
    training as training_speed,
)
from benchmarks.speed import (
    training_parts,
)
from benchmarks.speed.costs import cost_table
from benchmarks.speed.timing import machine_limits, peak_megabytes
from src.corpus.load import load_corpus
from src.deploy.export import export_onnx
from src.evaluation.evaluate import evaluation_texts
from src.evaluation.systems import ModelSystem, as_pairs
from src.files import replace_between
from src.lstm_model import load_lstm_lm
from src.models.pretrained import PRETRAINED_NAMES, load_pretrained
from src.runs import RunError, find_run

RESULTS_PAGE = Path(__file__).parents[1] / "RESULTS.md"
START, END = "<!-- speed: make bench -->", "<!-- end of speed -->"
TRAINING, DATA = "Training: tweets a second", "Data: 1.6 million rows, zipped"
CALL = "import sys; from benchmarks import speed; print(speed.{}(*sys.argv[1:]))"
# As `peak_megabytes`, which can't be imported without torch.
PEAK = r"import re; print(int(re.search(r'VmHWM:\s+(\d+)', open('/proc/self/status').read())[1]) * 1024 / 1e6)"
COMPLETERS = {
    "LSTM, ONNX int8": f"""
import sys; from src.deploy.onnx_lstm import OnnxLSTM
OnnxLSTM(sys.argv[1]).complete(["the weather today"], n=3); {PEAK}""",
    "LSTM, torch": f"""
import sys; from src.lstm_model import load_lstm_lm; from src.completion.completer import complete
tokenizer, model, _, _ = load_lstm_lm(sys.argv[1]); complete(model, tokenizer, ["the weather today"], n=3); {PEAK}""",
}
NUM_TRAIN = 40_000
NUM_PREFIXES = 100
NUM_TYPED = 10
NUM_IN_BATCHES = 2_000


def machine() -> dict[str, list[dict]]:
    limits = machine_limits()
    return {
        "What the machine can do": [
            {"": "threads", "value": torch.get_num_threads()},
            *({"": name, "value": round(value, 1)} for name, value in limits.items()),
        ]
    }


def training() -> dict[str, list[dict]]:
    tweets, _ = prepared_corpus()
    texts = tweets.texts("train", NUM_TRAIN)
    rows = training_speed.training_speed(texts, machine_limits())
    return {
        TRAINING: rows,
        "Memory of a training, with the libraries": memory_rows(texts),
        "What the Trainer adds to a step": training_parts.trainer_overhead(texts),
        "Where a step's time goes": training_parts.step_profile(texts),
        "What was tried to shorten a step": training_parts.tried_options(texts),
    }


def finetuning() -> dict[str, list[dict]]:
    tweets, _ = prepared_corpus()
    texts = tweets.texts("train", NUM_TRAIN)
    return {"Fine-tuning: tweets a second": finetuning_speed.finetuning_speed(texts)}


def data() -> dict[str, list[dict]]:
    corpus = load_corpus(data_dir="data")
    with TemporaryDirectory() as folder:
        return {
            DATA: prepared_rows("preparation_speed", Path(folder), data_speed.NUM_ROWS),
            "Data: how the stages grow": data_speed.growth(corpus, Path(folder) / "growth"),
        }


def large_data() -> dict[str, list[dict]]:
    with TemporaryDirectory() as folder:
        rows = prepared_rows("large_preparation", Path(folder), data_speed.NUM_LARGE_ROWS)
    return {"Data larger than memory: 20 million rows, zipped": rows}


def prepared_rows(preparation: str, folder: Path, num_rows: int) -> list[dict]:
    """A row for each stage of a preparation, and one for the most memory it takes."""
    path = folder / "tweets.csv.zip"
    data_speed.write_varied_csv(load_corpus(data_dir="data"), path, num_rows)
    return json.loads(in_its_own_process(CALL.format("stages_and_memory"), preparation, str(path)))


def suggestions() -> dict[str, list[dict]]:
    tweets, _ = prepared_corpus()
    texts = evaluation_texts(tweets.texts("val"), NUM_IN_BATCHES, seed=0)
    prefixes = [pair.context for pair in as_pairs(texts)]
    systems = trained_systems()
    throughput = suggestion_speed.throughput(systems, prefixes)
    torch.set_num_threads(1)
    run_dir = find_run("lstm_lm")
    export_onnx(run_dir)
    return {
        "Suggestions of five tokens, one thread": suggestion_speed.latency(systems, run_dir, prefixes[:NUM_PREFIXES]),
        "What was tried to shorten a suggestion": suggestion_speed.tried_options(systems[0], prefixes[:NUM_TYPED]),
        "Memory of a process that completes": [
            {"model": name, "peak MB": round(float(in_its_own_process(code, str(run_dir))))}
            for name, code in COMPLETERS.items()
        ],
        "A keystroke, one thread": suggestion_speed.keystrokes(systems, texts[:NUM_TYPED]),
        "In batches, all threads": throughput,
    }


def trained_systems() -> list[ModelSystem]:
    """The newest LSTM and the newest fine-tuned transformer, or the untouched one."""
    tokenizer, lstm, _, _ = load_lstm_lm(find_run("lstm_lm"))
    try:
        lm = load_pretrained(find_run(*PRETRAINED_NAMES))
    except RunError:
        lm = load_pretrained()
    return [ModelSystem("LSTM", lstm, tokenizer), ModelSystem(lm.name, lm.model, lm.tokenizer)]


def memory_rows(texts: list[str]) -> list[dict]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "texts.json"
        path.write_text(json.dumps(texts), encoding="utf-8")
        return [
            {
                "loop": loop,
                "steps": steps,
                "peak MB": round(float(in_its_own_process(CALL.format("training_memory"), loop, str(path)))),
            }
            for loop, steps in training_speed.MEMORY_STEPS.items()
        ]


def training_memory(loop: str, path: str) -> float:
    return training_speed.memory_of(loop, json.loads(Path(path).read_text(encoding="utf-8")))


def stages_and_memory(preparation: str, path: str) -> str:
    rows = getattr(data_speed, preparation)(Path(path))
    return json.dumps([*rows, {"stage": "peak MB", "seconds": "", "rows per second": round(peak_megabytes())}])


def in_its_own_process(code: str, *arguments: str) -> str:
    """What some code prints in a process that does nothing else; its arguments are in `sys.argv`."""
    completed = subprocess.run([sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True, check=True)
    return completed.stdout.strip()


PARTS = {part.__name__: part for part in (machine, training, finetuning, data, large_data, suggestions)}


def write_page() -> None:
    """Put the tables of all parts into the page."""
    tables: dict[str, list[dict]] = {}
    for part in PARTS:
        path = RESULTS_DIR / f"speed-{part}.json"
        if path.exists():
            rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
            tables |= {table["title"]: table["rows"] for table in rows}
    if TRAINING in tables and DATA in tables:
        [loop] = [row for row in tables[TRAINING] if row["loop"] == training_speed.NOTEBOOK_LOOP]
        [preparation] = [row for row in tables[DATA] if row["stage"] == "all"]
        tables["What more tweets would cost, computed"] = cost_table(loop, preparation)
    sections = [f"### {title}\n\n{markdown(rows)}" for title, rows in tables.items()]
    replace_between(RESULTS_PAGE, START, END, "\n\n".join(sections) + "\n")


def markdown(rows: list[dict]) -> str:
    """A table with a row for each dict."""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(map(str, row.values()) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], metavar="PART", help=f"of {', '.join(PARTS)}")
    parts = parser.parse_args().parts or list(PARTS)
    _, record = prepared_corpus()
    settings = {"threads": torch.get_num_threads(), "seed": 0}
    for part in parts:
        tables = [{"title": title, "rows": rows} for title, rows in PARTS[part]().items()]
        write_results(f"speed-{part}", record, settings, tables, command=f"python -m benchmarks.speed {part}")
        write_page()


if __name__ == "__main__":
    main()
