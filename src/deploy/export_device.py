"""Write the folder `device` of a run: the LSTM in int8, n-grams, and all that is needed to complete texts with them.

`src.recipe.build_device` makes the n-grams and calls this. `python -m src.deploy.export_device` completes the folder of
the best run: it adds the code and the example, which are not committed.
"""

import argparse
import json
import shutil
import sys
from dataclasses import asdict
from pathlib import Path

from src.deploy.device import CHECKED, DEVICE_DIR, SETTINGS_FILE, TOKENIZER_FILE, DeviceError, DeviceLM, file_checksum
from src.deploy.export import export_onnx
from src.deploy.ngram_file import NGRAM_FILE
from src.deploy.onnx_lstm import INT8_FILE
from src.files import explain_full_disk, publish, write_atomically, write_json
from src.runs import RunError, best_run, read_meta
from src.text.calibration import Calibration
from src.text.context_weight import ContextWeight
from src.text.offensive import PACKAGE
from src.text.word_search import MIN_PROBABILITY

ROOT = Path(__file__).parents[2]
EXAMPLE = "example.py"
# The code that the folder needs.
MODULES = ("src/text/*.py", "src/deploy/__init__.py", "src/deploy/device.py", "src/deploy/ngram_file.py")
MODULES += ("src/deploy/onnx_lstm.py", "src/deploy/read_texts.py", "src/__init__.py", "LICENSE")

README = """# A tweet completer of {megabytes:.1f} MB

An LSTM in int8 (`{int8}`) and an n-gram model (`{ngrams}`). The probability of a word is a weighted mean of both
models'. It needs no torch:

```bash
pip install onnxruntime tokenizers numpy {word_list}
python {example} "good morni"
```

The completer is `DeviceLM(folder).complete(texts, n, half_typed)` in `src/deploy/device.py`. The code in `src` is part
of the project that made this folder. `{settings}` holds the special tokens, the calibration of the probabilities, the
weight of the n-grams (the coefficients of `src/text/context_weight.py`), the probability below which a suggestion ends,
and checksums.

Suggestions leave out the words of a list of offensive words, which `{word_list}` holds. It misses much and blocks
harmless uses of these words. `DeviceLM(folder, allow_offensive_words=True)` suggests them too and does not need that
package.

Made from the run `{run}`. Like every language model, it can repeat texts that it was trained on, and their biases.
"""


def export_device(run_dir: str | Path, ngram_path: str | Path, weight: ContextWeight, calibration: Calibration) -> Path:
    """Write the folder `device` into the folder of an LSTM run, and the checksums of its models into `meta.json`.

    Args:
        run_dir: the run folder; the LSTM is exported if it has not been yet.
        ngram_path: an n-gram file over the run's tokens, which is copied.
        weight: how much the n-grams count.
        calibration: of the two models together.

    Returns:
        the folder, which replaces one that was there.

    Raises:
        RunError: the run folder is not a complete LSTM run.
        WriteError: the disk is full.
    """
    run_dir = Path(run_dir)
    meta, folder, partial = read_meta(run_dir), run_dir / DEVICE_DIR, run_dir / f".{DEVICE_DIR}.partial"
    if not (run_dir / INT8_FILE).is_file():
        export_onnx(run_dir)
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with explain_full_disk(folder):
            fill(partial, run_dir, ngram_path, weight, calibration)
            shutil.rmtree(folder, ignore_errors=True)
            publish(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    checksums = {name: file_checksum(folder / name) for name in (INT8_FILE, NGRAM_FILE)}
    write_json(run_dir / "meta.json", meta | {"device": {"megabytes": megabytes(folder), "sha256": checksums}})
    return folder


def fill(
    folder: Path, run_dir: str | Path, ngram_path: str | Path, weight: ContextWeight, calibration: Calibration
) -> None:
    """Write all files into a new folder; the run has been exported to ONNX."""
    run_dir = Path(run_dir)
    folder.mkdir()
    shutil.copyfile(ngram_path, folder / NGRAM_FILE)
    for name in (INT8_FILE, TOKENIZER_FILE):
        shutil.copyfile(run_dir / name, folder / name)
    settings = {
        "special_tokens": json.loads((run_dir / "special_tokens_map.json").read_text(encoding="utf-8")),
        "calibration": asdict(calibration),
        "ngram_weight": list(weight.coefficients),
        "min_probability": MIN_PROBABILITY,
        "sha256": {name: file_checksum(folder / name) for name in CHECKED},
    }
    write_json(folder / SETTINGS_FILE, settings)
    add_code(folder, run_dir.name)


def add_code(folder: Path, run_name: str) -> None:
    """Write the example, the modules that it imports, the licence and a page that explains the folder."""
    shutil.copyfile(ROOT / "src" / "deploy" / EXAMPLE, folder / EXAMPLE)
    for pattern in MODULES:
        for path in ROOT.glob(pattern):
            copy = folder / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
    names = {"int8": INT8_FILE, "ngrams": NGRAM_FILE, "example": EXAMPLE, "settings": SETTINGS_FILE}
    names["word_list"] = PACKAGE
    readme = README.format(megabytes=megabytes(folder), run=run_name, **names)
    write_atomically(folder / "README.md", readme)


def megabytes(folder: Path) -> float:
    """Size of all files in a folder."""
    return round(sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6, 2)


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    try:
        folder = best_run("lstm_lm") / DEVICE_DIR
        DeviceLM(folder, allow_offensive_words=True)
    except (RunError, FileNotFoundError, DeviceError) as error:
        sys.exit(str(error))
    add_code(folder, folder.parent.name)
    print(folder)


if __name__ == "__main__":
    main()
