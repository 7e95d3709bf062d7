"""The loss over targets is the plain cross entropy, whatever the model and the batches."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from src.loss import dataset_nll, target_nll
from src.lstm_model import LSTMLM, LSTMConfig
from src.next_token_dataset import NextTokenDataset, collate_batch


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


@pytest.fixture(params=["tokens", "words"])
def dataset(request, tokenizer, cleaned_texts):
    return NextTokenDataset(cleaned_texts[:30], tokenizer, tokenizer.eos_token_id, context_unit=request.param)


def full_logits_nll(model, batch, reduction="none"):
    """Cross entropy of the logits at every position, masked ones 0."""
    attention_mask = (torch.arange(batch["input_ids"].shape[1]) < batch["lengths"][:, None]).long()
    logits = model(input_ids=batch["input_ids"], attention_mask=attention_mask).logits
    return cross_entropy(logits.transpose(1, 2), batch["labels"], ignore_index=-100, reduction=reduction)


def test_loss_and_gradients_are_those_of_the_full_logits(model, dataset, tokenizer):
    batch = collate_batch([dataset[i] for i in range(13)], tokenizer.eos_token_id)
    expected = full_logits_nll(model, batch, "mean")
    expected.backward()
    expected_grads = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    model.zero_grad()
    nll, _ = target_nll(model, batch)
    nll.mean().backward()
    torch.testing.assert_close(nll.mean(), expected, atol=1e-5, rtol=1e-5)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, expected_grads[name], atol=1e-5, rtol=1e-4)
    assert nll.dtype == torch.float32


@torch.no_grad()
def test_every_target_has_its_own_loss_and_row(model, dataset):
    batch = collate_batch([dataset[i] for i in range(13)])
    is_target = batch["labels"] != -100
    nll, rows = target_nll(model, batch)
    torch.testing.assert_close(nll, full_logits_nll(model, batch)[is_target], atol=1e-5, rtol=1e-5)
    assert rows.bincount(minlength=13).tolist() == is_target.sum(dim=1).tolist()


@torch.no_grad()
@pytest.mark.parametrize("batch_size", [1, 7, 100])
def test_dataset_nll_is_that_of_one_text_at_a_time_in_order(model, dataset, tokenizer, batch_size):
    nll, num_targets = dataset_nll(model, dataset, batch_size, tokenizer.eos_token_id)
    alone = [collate_batch([dataset[i]]) for i in range(len(dataset))]
    np.testing.assert_allclose(nll, [full_logits_nll(model, text, "sum") for text in alone], atol=1e-4, rtol=1e-5)
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
def test_dataset_nll_turns_dropout_off_and_leaves_the_mode_as_it_was(kind, training, dataset, tokenizer):
    model = make_model(kind, len(tokenizer), dropout=0.5).train(training)
    nll, _ = dataset_nll(model, dataset, 8, tokenizer.pad_token_id)
    assert model.training is training
    assert model.base_model.training is training
    expected, _ = dataset_nll(make_model(kind, len(tokenizer)), dataset, 8, tokenizer.pad_token_id)
    np.testing.assert_allclose(nll, expected, rtol=1e-6)
