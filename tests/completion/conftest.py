"""Fixtures for the tests of this folder."""

import pytest

from tests.completion.made_models import make_gpt2, make_lstm, train_bpe


@pytest.fixture(scope="session")
def bpe_tokenizer(cleaned_texts):
    return train_bpe(cleaned_texts)


@pytest.fixture(scope="session")
def digits_tokenizer(cleaned_texts):
    return train_bpe(cleaned_texts, digits_alone=True)


@pytest.fixture(scope="session")
def make(tokenizer, bpe_tokenizer, digits_tokenizer):
    """A function `make(kind, seed, eos_bias)` that returns a model and its tokenizer; a bias makes the end likelier."""

    def make(kind, seed=0, eos_bias=0.0):
        if kind == "lstm":
            return make_lstm(tokenizer, seed, eos_bias), tokenizer
        bpe = bpe_tokenizer if kind == "gpt2" else digits_tokenizer
        return make_gpt2(bpe, seed, eos_bias), bpe

    return make
