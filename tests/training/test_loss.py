"""The loss over targets equals the plain cross entropy, for every model and every batch."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from src.lstm_model import LSTMLM, LSTMConfig
from src.models.interpolation import InterpolatedLM
from src.models.kneser_ney import KneserNeyLM
from src.next_token_dataset import NextTokenDataset, collate_batch
from src.training import loss
from src.training.loss import dataset_nll, sampled_training_loss, target_nll, token_frequencies, training_loss


def make_model(kind, vocab_size, dropout=0.0):
    torch.manual_seed(0)
    if kind == "lstm":
        config = LSTMConfig(vocab_size=vocab_size, embedding_dim=16, hidden_dim=24, num_layers=2, dropout=dropout)
        model = LSTMLM(config)
    elif kind == "gpt2":
        sizes = {"n_positions": 64, "n_embd": 16, "n_layer": 2, "n_head": 2, "initializer_range": 0.2}
        dropouts = dict.fromkeys(["embd_pdrop", "attn_pdrop", "resid_pdrop"], dropout)
        model = GPT2LMHeadModel(GPT2Config(vocab_size=vocab_size, bos_token_id=2, eos_token_id=2, **sizes, **dropouts))
    else:
        sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "initializer_range": 0.2}
        heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 64}
        model = LlamaForCausalLM(LlamaConfig(vocab_size=vocab_size, attention_dropout=dropout, **sizes, **heads))
    return model.eval()


@pytest.fixture(params=["lstm", "gpt2", "llama"])
def model(request, tokenizer):
    return make_model(request.param, len(tokenizer))


@pytest.fixture(params=["lstm", "gpt2", "llama", "n-grams", "lstm and n-grams"])
def scored_model(request, tokenizer, cleaned_texts):
    """Models with hidden states, and models that offer the log-probabilities of their targets instead."""
    if "n-grams" not in request.param:
        return make_model(request.param, len(tokenizer))
    ids = len(tokenizer), tokenizer.pad_token_id, tokenizer.eos_token_id
    counted = NextTokenDataset(cleaned_texts[20:], tokenizer, tokenizer.eos_token_id)
    ngram = KneserNeyLM.from_dataset(counted, *ids, order=3)
    return ngram if request.param == "n-grams" else InterpolatedLM(make_model("lstm", len(tokenizer)), ngram, 0.3)


@pytest.fixture(params=["tokens", "words"])
def dataset(request, tokenizer, cleaned_texts):
    return NextTokenDataset(cleaned_texts[:30], tokenizer, tokenizer.eos_token_id, context_unit=request.param)


def full_logits_nll(model, batch, reduction="none"):
    """Cross entropy of the logits at every position, 0 where the label is masked."""
    attention_mask = (torch.arange(batch["input_ids"].shape[1]) < batch["lengths"][:, None]).long()
    logits = model(input_ids=batch["input_ids"], attention_mask=attention_mask).logits
    return cross_entropy(logits.transpose(1, 2), batch["labels"], ignore_index=-100, reduction=reduction)


def gradients(model, loss):
    model.zero_grad()
    loss.backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


def assert_equal_gradients(found, expected, **tolerance):
    assert found.keys() == expected.keys()
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], **tolerance)


@pytest.mark.parametrize("rows_at_once", [1, 7, 10**9])
def test_loss_and_gradients_equal_those_of_the_full_logits(model, dataset, tokenizer, rows_at_once, monkeypatch):
    monkeypatch.setitem(loss.ROWS_AT_ONCE, "cpu", rows_at_once)
    batch = collate_batch([dataset[i] for i in range(13)], tokenizer.eos_token_id)
    expected = full_logits_nll(model, batch, "mean")
    expected_gradients = gradients(model, expected)
    for found in (training_loss(model, batch), target_nll(model, batch)[0].mean()):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
        assert found.dtype == torch.float32
        assert_equal_gradients(gradients(model, found), expected_gradients, atol=1e-5, rtol=1e-4)


def test_gradients_scale_with_the_factor_of_the_loss(model, dataset):
    batch = collate_batch([dataset[i] for i in range(5)])
    thrice = {name: 3 * grad for name, grad in gradients(model, training_loss(model, batch)).items()}
    assert_equal_gradients(gradients(model, 3 * training_loss(model, batch)), thrice)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_loss_and_gradients_under_autocast_are_close_to_those_of_float32(model, dataset, dtype):
    if dtype == torch.float16 and isinstance(model, LSTMLM):
        pytest.skip("the LSTM has no float16 on a CPU")
    batch = collate_batch([dataset[i] for i in range(13)])
    expected = training_loss(model, batch)
    expected_gradients = gradients(model, expected)
    with torch.autocast("cpu", dtype):
        found = training_loss(model, batch)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, atol=0.0, rtol=0.01)
    for name, grad in gradients(model, found).items():
        assert grad.dtype == torch.float32
        assert (grad - expected_gradients[name]).norm() <= 0.05 * expected_gradients[name].norm() + 1e-6, name


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 0.02), (torch.float16, 0.005)])
def test_sums_over_many_rows_are_exact_in_half_precision(dtype, tolerance):
    torch.manual_seed(0)
    hidden, weight = torch.randn(200_000, 4).to(dtype), torch.randn(5, 4).to(dtype).requires_grad_()
    bias, labels = torch.randn(5).to(dtype).requires_grad_(), torch.zeros(200_000, dtype=torch.long)
    loss.BlockwiseCrossEntropy.apply(hidden, weight, bias, labels).backward()
    exact_weight, exact_bias = (tensor.detach().double().requires_grad_() for tensor in (weight, bias))
    cross_entropy(hidden.double() @ exact_weight.T + exact_bias, labels).backward()
    for found, exact in ((weight.grad, exact_weight.grad), (bias.grad, exact_bias.grad)):
        assert found.dtype == dtype
        torch.testing.assert_close(found.double(), exact, atol=tolerance * float(exact.abs().max()), rtol=0)


@pytest.mark.parametrize("name", loss.SCALING_OF_LOGITS)
def test_a_model_that_scales_its_logits_is_refused(dataset, tokenizer, name):
    model = make_model("llama", len(tokenizer))
    setattr(model.config, name, 30.0)
    with pytest.raises(ValueError, match=f"the model has a {name}, which the loss does not support"):
        training_loss(model, collate_batch([dataset[0]]))


def test_a_sample_of_the_full_vocabulary_gives_the_full_loss(model, dataset, tokenizer):
    batch = collate_batch([dataset[i] for i in range(13)])
    even = torch.full((len(tokenizer),), 1 / len(tokenizer))
    expected = training_loss(model, batch)
    found = sampled_training_loss(model, batch, even, num_samples=20 * len(tokenizer))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    expected_gradients = gradients(model, expected)
    assert_equal_gradients(gradients(model, found), expected_gradients, atol=1e-4, rtol=1e-3)


def test_gradients_of_sampled_losses_point_in_the_direction_of_the_full_gradient(model, dataset, tokenizer):
    batch = collate_batch([dataset[i] for i in range(13)])
    frequencies = token_frequencies(dataset, len(tokenizer))
    expected = gradients(model, training_loss(model, batch))
    samples = [gradients(model, sampled_training_loss(model, batch, frequencies, 30)) for _ in range(60)]
    for name, full in expected.items():
        mean = torch.stack([sample[name] for sample in samples]).mean(dim=0)
        assert torch.cosine_similarity(mean.flatten(), full.flatten(), dim=0) > 0.9, name


def test_token_frequencies_sum_to_one_and_none_is_zero(dataset, tokenizer):
    frequencies = token_frequencies(dataset, len(tokenizer))
    assert frequencies.shape == (len(tokenizer),) and frequencies.dtype == torch.float32
    assert frequencies.min() > 0 and frequencies.sum() == pytest.approx(1.0)
    num_ends = (frequencies[tokenizer.eos_token_id] * (len(dataset.token_ids) + len(tokenizer))).item()
    assert num_ends == pytest.approx(len(dataset) + 1, rel=1e-4)


@torch.no_grad()
def test_every_target_has_its_own_loss_and_row(scored_model, dataset):
    batch = collate_batch([dataset[i] for i in range(13)])
    is_target = batch["labels"] != -100
    nll, rows = target_nll(scored_model, batch)
    torch.testing.assert_close(nll, full_logits_nll(scored_model, batch)[is_target], atol=1e-5, rtol=1e-5)
    assert nll.dtype == torch.float32
    assert rows.bincount(minlength=13).tolist() == is_target.sum(dim=1).tolist()


@torch.no_grad()
@pytest.mark.parametrize("batch_size", [1, 7, 100])
def test_dataset_nll_equals_that_of_one_text_at_a_time_in_order(scored_model, dataset, tokenizer, batch_size):
    nll, num_targets = dataset_nll(scored_model, dataset, batch_size, tokenizer.eos_token_id)
    alone = [collate_batch([dataset[i]]) for i in range(len(dataset))]
    np.testing.assert_allclose(
        nll, [full_logits_nll(scored_model, text, "sum") for text in alone], atol=1e-4, rtol=1e-5
    )
    assert num_targets.tolist() == [int((text["labels"] != -100).sum()) for text in alone]
    assert nll.dtype == np.float64
    assert num_targets.dtype == np.int64


def test_the_targets_are_the_last_quarter_and_the_end(tiny_lstm, tokenizer, cleaned_texts):
    dataset = NextTokenDataset(cleaned_texts, tokenizer, tokenizer.eos_token_id)
    _, num_targets = dataset_nll(tiny_lstm, dataset, 16, tokenizer.pad_token_id)
    num_tokens = [len(tokenizer.tokenize(text)) for text in cleaned_texts]
    assert num_targets.tolist() == [n - int(0.75 * n) + 1 for n in num_tokens]


@pytest.mark.parametrize("kind", ["lstm", "gpt2"])
@pytest.mark.parametrize("training", [True, False])
def test_dataset_nll_turns_dropout_off_and_restores_the_mode(kind, training, dataset, tokenizer):
    model = make_model(kind, len(tokenizer), dropout=0.5).train(training)
    nll, _ = dataset_nll(model, dataset, 8, tokenizer.pad_token_id)
    assert model.training is training
    assert model.base_model.training is training
    expected, _ = dataset_nll(make_model(kind, len(tokenizer)), dataset, 8, tokenizer.pad_token_id)
    np.testing.assert_allclose(nll, expected, rtol=1e-6)
