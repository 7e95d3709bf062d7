"""The forms of the transformer in the benchmark: llama.cpp computes what torch computes, where it is installed."""

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from benchmarks.quality import llama
from benchmarks.quality.llama import LlamaCpp, NotInstalledError, load_library, quantise_gguf, write_gguf
from src.evaluation.systems import ModelSystem, as_pairs, target_likelihood
from tests.completion.made_models import train_bpe


@pytest.fixture(scope="module")
def bpe_tokenizer(cleaned_texts):
    tokenizer = train_bpe(cleaned_texts)
    tokenizer.bos_token = tokenizer.eos_token
    return tokenizer


@pytest.fixture(scope="module")
def model(bpe_tokenizer):
    """A tiny model like SmolLM2: two heads share keys and values."""
    torch.manual_seed(0)
    sizes = {"vocab_size": len(bpe_tokenizer), "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64}
    eos_id = bpe_tokenizer.eos_token_id
    ids = {"bos_token_id": eos_id, "eos_token_id": eos_id, "tie_word_embeddings": True}
    return LlamaForCausalLM(LlamaConfig(**sizes, **heads, **ids, initializer_range=0.2)).eval()


@pytest.fixture(scope="module")
def gguf_path(model, tmp_path_factory):
    try:
        load_library()
    except NotInstalledError as error:
        pytest.skip(str(error))
    path = tmp_path_factory.mktemp("gguf") / "model.gguf"
    write_gguf(model, path)
    return path


def test_llama_cpp_scores_like_torch(model, bpe_tokenizer, gguf_path, cleaned_texts):
    expected = target_likelihood(model, bpe_tokenizer, cleaned_texts)
    found = LlamaCpp(gguf_path, bpe_tokenizer).likelihood(cleaned_texts)
    np.testing.assert_allclose(found["nll"], expected["nll"], rtol=1e-3)
    assert found["words"].equals(expected["words"])


def test_llama_cpp_finds_the_next_words_that_torch_finds(model, bpe_tokenizer, gguf_path, cleaned_texts):
    prefixes = [pair.context for pair in as_pairs(cleaned_texts[:20])]
    expected = ModelSystem("torch", model, bpe_tokenizer).next_words(prefixes)
    found = LlamaCpp(gguf_path, bpe_tokenizer).next_words(prefixes)
    assert [words[0] for words in found] == [words[0] for words in expected]
    assert all(len(set(words)) == 3 for words in found)


def test_a_quantised_file_is_smaller_and_scores_almost_the_same(bpe_tokenizer, gguf_path, cleaned_texts, tmp_path):
    quantise_gguf(gguf_path, tmp_path / "q.gguf", "Q4_1")
    assert (tmp_path / "q.gguf").stat().st_size < 0.5 * gguf_path.stat().st_size
    models = (LlamaCpp(path, bpe_tokenizer) for path in (tmp_path / "q.gguf", gguf_path))
    near, exact = (model.likelihood(cleaned_texts)["nll"].sum() for model in models)
    assert near == pytest.approx(exact, rel=0.1)


def test_a_suggestion_has_as_many_tokens_as_are_asked_for_whatever_was_read_before(bpe_tokenizer, gguf_path):
    model = LlamaCpp(gguf_path, bpe_tokenizer)
    first = model.suggest("good morning", 5)
    model.suggest("the weather today is so", 5)
    assert model.suggest("good morning", 5) == first and len(first) == 5
    assert bpe_tokenizer.eos_token_id not in first


def test_where_llama_cpp_is_missing_a_sentence_says_how_to_install_it(monkeypatch):
    def no_module(name):
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(llama.importlib, "import_module", no_module)
    with pytest.raises(NotInstalledError, match=r"llama\.cpp is not installed .*: run pip install llama-cpp-python"):
        load_library()
