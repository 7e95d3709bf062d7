"""The models of the page."""

import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from src.completion.completer import Completer
from src.completion.prefix_memory import PrefixMemory
from src.demo.server import DEVICE_FILES, PageModel
from src.deploy.device import DEVICE_DIR, DeviceLM
from src.deploy.export import export_onnx
from src.deploy.onnx_lstm import OnnxLSTM
from src.files import WriteError
from src.lstm_model import load_lstm_lm
from src.models.pretrained import PRETRAINED_NAMES, load_pretrained
from src.runs import best_run, best_runs, describe_run, read_meta
from src.text.calibration import load_calibration
from src.text.prefixes import TweetCompleter


def page_models(
    models_dir: str | Path = "models", lstm_dir: str | Path | None = None, transformer_dir: str | Path | None = None
) -> list[PageModel]:
    """Return the LSTM in its forms, the fine-tuned transformer if there is one, and all their other runs.

    The forms of the LSTM are the int8 export with n-grams, if there is one, the model in torch and the int8 export,
    which is written if it has not been yet, and left out with a warning if it can't be. These and the transformer are
    loaded. The other runs are loaded when the page asks for them. All may suggest any word; `create_app` leaves
    offensive ones out.

    Args:
        models_dir: folder of the run folders.
        lstm_dir: run folder of the LSTM; None: the best one, see `src.runs.best_runs`.
        transformer_dir: run folder of the transformer; None: the best one, if there is one.

    Raises:
        RunError: there is no LSTM, or a run can't be read.
        CalibrationError: the calibration of a loaded run can't be read.
        ValueError: the int8 export is damaged.
        OSError: the transformer can't be loaded.
    """
    lstm_dir = Path(lstm_dir or best_run("lstm_lm", models_dir=models_dir))
    transformer_dir = transformer_dir or next(iter(best_runs(*PRETRAINED_NAMES, models_dir=models_dir)), None)
    lstm, about = load_lstm(lstm_dir), describe_run(lstm_dir)
    models = [PageModel("LSTM", about, lambda: lstm)]
    try:
        exported = load_exported(lstm_dir)
        models.append(PageModel("LSTM int8", f"int8 export of {about}", lambda: exported))
    except WriteError as error:
        warnings.warn(f"The LSTM int8 is left out: {error.strerror}", stacklevel=2)
    if (folder := device_dir(lstm_dir)) is not None:
        try:
            device = DeviceLM(folder, allow_offensive_words=True)
            about = f"int8 export with n-grams of {about}"
            models.insert(0, PageModel("LSTM with n-grams", about, lambda: device, device_dir=folder))
        except ValueError as error:
            warnings.warn(f"The LSTM with n-grams is left out: {error}", stacklevel=2)
    if transformer_dir is not None:
        transformer = load_transformer(transformer_dir)
        models.append(PageModel(read_meta(transformer_dir)["name"], describe_run(transformer_dir), lambda: transformer))
    return models + other_runs(models_dir, [lstm_dir, transformer_dir])


def other_runs(models_dir: str | Path, shown: Sequence[str | Path | None]) -> list[PageModel]:
    """Return the runs of the LSTM and of the transformer that are not among the folders `shown`, best first."""
    loaders = ((load_lstm, ("lstm_lm",)), (load_transformer, PRETRAINED_NAMES))
    shown = [Path(path).resolve() for path in shown if path is not None]
    return [
        PageModel(path.name, describe_run(path), partial(load, path), side_by_side=False)
        for load, names in loaders
        for path in best_runs(*names, models_dir=models_dir)
        if path.resolve() not in shown
    ]


def device_dir(run_dir: Path) -> Path | None:
    """The folder of a run's int8 export with n-grams, which a browser can run too; None if it has none."""
    folder = run_dir / DEVICE_DIR
    return folder if all((folder / name).is_file() for name in DEVICE_FILES) else None


def load_lstm(run_dir: str | Path) -> TweetCompleter:
    """Load an LSTM that remembers the text being typed."""
    tokenizer, model, _, _ = load_lstm_lm(run_dir, device="cpu")
    return Completer(model, tokenizer, memory=PrefixMemory(model), calibration=load_calibration(run_dir))


def load_exported(run_dir: Path) -> OnnxLSTM:
    """Load the int8 export of an LSTM, which is written first if it has not been yet."""
    try:
        return OnnxLSTM(run_dir)
    except FileNotFoundError:
        export_onnx(run_dir)
        return OnnxLSTM(run_dir)


def load_transformer(run_dir: str | Path) -> TweetCompleter:
    """Load a fine-tuned transformer that remembers the text being typed."""
    lm = load_pretrained(run_dir)
    return Completer(lm.model, lm.tokenizer, memory=PrefixMemory(lm.model), calibration=load_calibration(run_dir))
