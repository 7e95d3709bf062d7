"""Answers to the exercises of `solution_pretrained.ipynb`, run on a tiny transformer."""

import math

import pytest
import torch

from src.data_utils import clean_string
from src.evaluation.evaluate import evaluate
from src.evaluation.systems import ModelSystem
from src.examples import TWEETS
from src.models.pretrained import load_pretrained
from src.next_token_dataset import NextTokenDataset
from src.training.loss import dataset_nll
from src.training.train import TrainingSettings, train


@pytest.fixture
def lm(distilgpt2_path):
    return load_pretrained(distilgpt2_path, device="cpu")


def test_1_tokens_per_word(lm, tokenizer):
    def tokens_per_word(one, texts):
        return sum(len(one.tokenize(text)) for text in texts) / sum(len(text.split()) for text in texts)

    known, unknown = [clean_string(text) for text in TWEETS], ["hedgehogs accordion marshmallowing"]
    for one in (tokenizer, lm.tokenizer):
        # No token spans two words, so a word is at least one token; a tokenizer splits words that it has not seen.
        assert 1 <= tokens_per_word(one, known) < tokens_per_word(one, unknown)


def test_2_bits_per_character_by_hand(lm, cleaned_texts):
    before = evaluate(ModelSystem("before", lm.model, lm.tokenizer), cleaned_texts[:20])
    sums = before.likelihood[["nll", "words", "characters"]].sum()
    bits_per_character = sums["nll"] / math.log(2) / sums["characters"]
    perplexity = math.exp(sums["nll"] / sums["words"])
    summary = before.summary(seed=0)
    assert bits_per_character == pytest.approx(summary["bits_per_character"].value)
    assert perplexity == pytest.approx(summary["perplexity_per_word"].value)
    # In the mean of the tweets' own bits per character, a short target counts as much as a long one.
    own = before.likelihood["nll"] / math.log(2) / before.likelihood["characters"]
    assert own.mean() != pytest.approx(bits_per_character)


def test_3_fine_tune_one_layer(lm, made_up_tweets, tmp_path):
    lm.model.requires_grad_(False)
    layers = next(module for module in lm.model.modules() if isinstance(module, torch.nn.ModuleList))
    layers[-1].requires_grad_(True)

    eos_id, pad_id = lm.tokenizer.eos_token_id, lm.tokenizer.pad_token_id
    train_set, val_set = (
        NextTokenDataset(texts, lm.tokenizer, eos_id, context_unit="words", bos_id=lm.tokenizer.bos_token_id)
        for texts in (made_up_tweets[:200], made_up_tweets[200:240])
    )
    start = {name: value.clone() for name, value in lm.model.state_dict().items()}
    nll, num_targets = dataset_nll(lm.model, val_set, 32, pad_id)
    settings = TrainingSettings(learning_rate=1e-2, batch_size=32, max_epochs=1, eval_steps=0.5, num_sampled_tokens=0)
    result = train(lm.model, train_set, val_set, settings, tmp_path / "checkpoints", pad_id)

    assert result.best_val_loss < nll.sum() / num_targets.sum()
    changed = {name for name, value in lm.model.state_dict().items() if not torch.equal(value, start[name])}
    of_last_layer = {id(parameter) for parameter in layers[-1].parameters()}
    trainable = {name for name, parameter in lm.model.named_parameters() if id(parameter) in of_last_layer}
    assert changed and changed <= trainable
