"""The exported transformer: float32 predicts what torch predicts, int8 almost the same, through the same calls."""

from itertools import pairwise

import numpy as np
import onnx
import pandas as pd
import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from src.completion.completer import Completer
from src.completion.decoding import GREEDY, WORDS, Decoding
from src.completion.prefix_memory import PrefixMemory
from src.data_utils import split_x_target_by_words
from src.deploy.export_transformer import export_float32, export_transformer
from src.deploy.onnx_lstm import INT8_FILE, ONNX_FILE
from src.deploy.onnx_transformer import OnnxTransformer
from src.evaluation.evaluate import evaluate, evaluation_texts
from src.evaluation.systems import ModelSystem, first_words, target_likelihood
from src.files import WriteError
from src.models.pretrained import load_pretrained, save_pretrained_lm
from tests.completion.made_models import make_gpt2, train_bpe
from tests.deploy.conftest import META

DECODINGS = [GREEDY, WORDS, Decoding("beam", num_beams=3), Decoding("nucleus"), Decoding("mbr", num_samples=8)]
every_decoding = pytest.mark.parametrize("decoding", DECODINGS, ids=lambda decoding: decoding.method)


def make_llama(tokenizer, **options):
    """A model like SmolLM2: two heads share keys and values. Predictions differ clearly from token to token."""
    torch.manual_seed(0)
    sizes = {"vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64}
    eos_id = tokenizer.eos_token_id
    ids = {"bos_token_id": eos_id, "eos_token_id": eos_id, "tie_word_embeddings": True}
    return LlamaForCausalLM(LlamaConfig(**{**sizes, **heads, **ids, "initializer_range": 0.2, **options})).eval()


MAKE = {"gpt2": make_gpt2, "llama": make_llama}


@pytest.fixture(scope="module")
def bpe_tokenizer(cleaned_texts):
    tokenizer = train_bpe(cleaned_texts)
    tokenizer.bos_token = tokenizer.eos_token
    return tokenizer


@pytest.fixture(scope="module", params=list(MAKE))
def run(request, bpe_tokenizer, tmp_path_factory):
    """A run folder with both exports, and the model in torch with its tokenizer."""
    folder = tmp_path_factory.mktemp("run")
    meta = {**META, "name": request.param, "versions": {}, "git_commit": None}
    save_pretrained_lm(folder, MAKE[request.param](bpe_tokenizer), bpe_tokenizer, meta, [])
    export_transformer(folder)
    lm = load_pretrained(folder, device="cpu")
    export_float32(lm.model, folder / ONNX_FILE)
    return folder, lm.model, lm.tokenizer


@pytest.fixture(scope="module")
def prefixes(cleaned_texts):
    return [split_x_target_by_words(text)[0] for text in cleaned_texts if text.count(" ") > 2][:20]


def test_float32_has_the_logits_of_torch_at_every_position_and_from_a_cache(run):
    folder, model, _ = run
    exported = OnnxTransformer(folder, ONNX_FILE)
    ids = torch.randint(1, model.config.vocab_size, (3, 7), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = model(ids).logits
        torch.testing.assert_close(exported(ids).logits, expected, atol=1e-3, rtol=0)
        torch.testing.assert_close(exported(ids, logits_to_keep=2).logits, expected[:, -2:], atol=1e-3, rtol=0)
        cache = None
        for start, end in pairwise((0, 4, 5, 7)):
            output = exported(ids[:, start:end], past_key_values=cache)
            cache = output.past_key_values
            torch.testing.assert_close(output.logits, expected[:, start:end], atol=1e-3, rtol=0)


@every_decoding
def test_float32_completes_like_torch(run, prefixes, decoding):
    folder, model, tokenizer = run
    found, expected = (
        Completer(one, tokenizer, decoding).complete(prefixes, 3, half_typed=True, max_new_tokens=6)
        for one in (OnnxTransformer(folder, ONNX_FILE), model)
    )
    assert [[one.text for one in group] for group in found] == [[one.text for one in group] for group in expected]


def test_generate_continues_like_torch(run):
    folder, model, tokenizer = run
    padded = tokenizer(["good morning", "the weather today is so"], return_tensors="pt", padding=True)
    options = {"max_new_tokens": 6, "pad_token_id": tokenizer.pad_token_id}
    for beams in (1, 3):
        expected = model.generate(**padded, **options, num_beams=beams, do_sample=False)
        found = OnnxTransformer(folder, ONNX_FILE).generate(**padded, **options, num_beams=beams, do_sample=False)
        assert found.tolist() == expected.tolist()


def test_float32_scores_equal_those_of_torch(run, cleaned_texts):
    folder, model, tokenizer = run
    texts = evaluation_texts(cleaned_texts, 40, seed=0)
    found, expected = (
        evaluate(ModelSystem("one", one, tokenizer), texts) for one in (OnnxTransformer(folder, ONNX_FILE), model)
    )
    assert found.answers == expected.answers
    pd.testing.assert_frame_equal(found.scores, expected.scores)
    pd.testing.assert_frame_equal(found.likelihood, expected.likelihood, rtol=1e-4)


def test_int8_predicts_almost_what_torch_predicts(run, cleaned_texts, prefixes):
    folder, model, tokenizer = run
    int8 = OnnxTransformer(folder)
    likelihoods = [target_likelihood(one, tokenizer, cleaned_texts)["nll"].sum() for one in (int8, model)]
    assert likelihoods[0] == pytest.approx(likelihoods[1], rel=0.01)
    found, expected = (first_words(Completer(one, tokenizer), prefixes) for one in (int8, model))
    # An untrained model finds many words almost equally probable.
    assert np.mean([near[0] == exact[0] for near, exact in zip(found, expected)]) >= 0.8


def test_int8_gives_a_prefix_the_same_answer_alone_in_a_padded_batch_and_while_it_is_typed(run, prefixes):
    folder, _, tokenizer = run
    int8 = OnnxTransformer(folder)
    batch = Completer(int8, tokenizer).complete(prefixes, 3)
    typing = Completer(int8, tokenizer, memory=PrefixMemory(int8))
    for prefix, expected in zip(prefixes, batch):
        for completer in (Completer(int8, tokenizer), typing):
            [found] = completer.complete([prefix], 3)
            assert [one.text for one in found] == [one.text for one in expected]
            assert [one.confidence for one in found] == pytest.approx([one.confidence for one in expected], abs=0.01)


def test_int8_reads_token_by_token_what_it_reads_at_once(run):
    folder, model, _ = run
    int8 = OnnxTransformer(folder)
    ids, cache = torch.randint(1, model.config.vocab_size, (2, 6), generator=torch.Generator().manual_seed(1)), None
    expected = int8(ids)
    for token in ids.T:
        output = int8(token[:, None], past_key_values=cache)
        cache = output.past_key_values
    torch.testing.assert_close(output.logits[:, -1], expected.logits[:, -1], atol=1e-3, rtol=1e-3)


def test_all_weights_are_stored_once_and_in_8_bits(run):
    folder, model, _ = run
    stored = onnx.load(folder / INT8_FILE).graph.initializer
    in_8_bits = sum(np.prod(one.dims) for one in stored if one.data_type == onnx.TensorProto.UINT8)
    # The positions of GPT-2 are read, not multiplied.
    matrices = {one.data_ptr(): one for name, one in model.named_parameters() if one.ndim == 2 and "wpe" not in name}
    assert in_8_bits == sum(matrix.numel() for matrix in matrices.values())
    exact = [one.name for one in stored if len(one.dims) == 2 and not one.name.endswith(".scales")]
    assert exact == (["decoder.wpe.weight"] if "wpe" in str(model) else [])


def test_it_counts_the_parameters_that_the_model_has_in_torch(run):
    folder, model, _ = run
    assert OnnxTransformer(folder).num_parameters() == model.num_parameters()


def test_a_folder_without_an_export_is_refused_with_the_call_that_writes_it(run, tmp_path):
    _, model, _ = run
    model.save_pretrained(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"There is no .*model\.int8\.onnx: write it with .*export_transformer"):
        OnnxTransformer(tmp_path)


def test_separate_output_weights_and_odd_widths_are_refused(bpe_tokenizer, tmp_path):
    for options, message in (
        ({"tie_word_embeddings": False}, "has separate weights for its output layer"),
        ({"intermediate_size": 40}, r"layers are \[32, 40\] wide: int8 needs multiples of 16"),
    ):
        make_llama(bpe_tokenizer, **options).save_pretrained(tmp_path)
        bpe_tokenizer.save_pretrained(tmp_path)
        with pytest.raises(ValueError, match=message):
            export_transformer(tmp_path)
    assert not list(tmp_path.glob("*.onnx")) and not list(tmp_path.glob(".*"))


def test_a_full_disk_leaves_the_former_export_and_no_other_file(run, monkeypatch):
    folder, _, _ = run
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}

    def fill_disk(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("src.deploy.export_transformer.onnx.save", fill_disk)
    with pytest.raises(WriteError, match="the disk is full"):
        export_transformer(folder)
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_the_export_leaves_the_model_as_it_was(run, tmp_path):
    folder, _, _ = run
    model = AutoModelForCausalLM.from_pretrained(folder)
    attention = model.config._attn_implementation
    export_float32(model, tmp_path / ONNX_FILE)
    assert model.config._attn_implementation == attention != "eager" and not model.training
