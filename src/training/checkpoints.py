"""Checkpoints: what is saved so that a run can resume, and the check that a checkpoint belongs to it."""

import json
import shutil
import zlib
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import torch
from safetensors import safe_open
from transformers import PreTrainedModel
from transformers.trainer_utils import get_last_checkpoint

from src.files import write_json
from src.next_token_dataset import NextTokenDataset

IDENTITY_FILE = "training.json"
RESULT_FILE = "result.json"
# Written last, it marks a checkpoint as complete.
STATE_FILE = "trainer_state.json"


def training_identity(model: PreTrainedModel, datasets: dict[str, NextTokenDataset], settings: dict) -> dict:
    """What two training runs must share for one to resume from the other's checkpoint, as JSON can hold it.

    Args:
        model: the model with its initial weights; which of them require a gradient is compared too.
        datasets: the datasets by name; their token ids and masks are compared.
        settings: the settings that change the weights.
    """
    weights = 0
    for tensor in model.state_dict().values():
        weights = zlib.crc32(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy(), weights)
    return {
        "settings": settings,
        "model": type(model).__name__,
        "weights": weights,
        "frozen": sorted(name for name, parameter in model.named_parameters() if not parameter.requires_grad),
        **{name: _checksum(dataset) for name, dataset in datasets.items()},
    }


def _checksum(dataset: NextTokenDataset) -> int:
    context_lengths = np.empty(0) if dataset.context_lengths is None else dataset.context_lengths
    checksum = 0
    for array in (dataset.token_ids, dataset.offsets, context_lengths):
        checksum = zlib.crc32(np.ascontiguousarray(array), checksum)
    return checksum


def open_checkpoints(folder: Path, identity: dict) -> Path | None:
    """The last complete checkpoint in a folder, if it belongs to a run of this identity; if not, empty the folder."""
    try:
        is_same_run = json.loads((folder / IDENTITY_FILE).read_text(encoding="utf-8")) == identity
    except (FileNotFoundError, json.JSONDecodeError):
        is_same_run = False
    if not is_same_run:
        shutil.rmtree(folder, ignore_errors=True)
        write_json(folder / IDENTITY_FILE, identity)
        return None
    while (last := get_last_checkpoint(str(folder))) is not None:
        try:
            json.loads((Path(last) / STATE_FILE).read_text(encoding="utf-8"))
            return Path(last)
        except (FileNotFoundError, json.JSONDecodeError):
            # The run was killed while it wrote this checkpoint.
            shutil.rmtree(last)
    return None


def damaged_checkpoint(folder: Path) -> Path | None:
    """Of the last and the best checkpoint in a folder, one with a file that can't be read; None: all files can be."""
    return next((path.parent for path in folder.glob("checkpoint-*/*") if _is_damaged(path)), None)


def _is_damaged(path: Path) -> bool:
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, "pt"):
                return False
        if path.suffix in (".pt", ".pth"):
            # torch does not compare the checksums of the archive.
            with ZipFile(path) as archive:
                return archive.testzip() is not None
    except Exception:  # The libraries raise errors of many types.
        return True
    return False


def seconds_until(checkpoint: Path) -> float:
    """Seconds of training before a checkpoint was written."""
    log_history = json.loads((checkpoint / STATE_FILE).read_text(encoding="utf-8"))["log_history"]
    return max((entry["seconds"] for entry in log_history if "seconds" in entry), default=0.0)
