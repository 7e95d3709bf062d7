"""Fixtures for all tests: made-up texts, a small tokenizer and tiny models."""

import os
import random
from pathlib import Path

# More threads slow tiny models down, especially if another process is busy.
os.environ["OMP_NUM_THREADS"] = "1"

import pytest
import torch
from hypothesis import HealthCheck, settings
from tokenizers import ByteLevelBPETokenizer
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from src.corpus.tokenization import train_tokenizer
from src.data_utils import clean_string
from src.examples import TWEETS
from src.lstm_model import LSTMLM, LSTMConfig

# Every test run tries the same examples, and a slow machine is no failure.
settings.register_profile("tests", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
# `make test-thorough` tries many more examples, and new ones each time.
settings.register_profile("thorough", settings.get_profile("tests"), derandomize=False, max_examples=3_000)
settings.load_profile("tests")

VOCABULARY = (
    "i you we they the a my your this that is was are am going go want need love miss watch hear make lose find "
    "bus cat dog tea coffee rain weather weekend class exam phone laptop bakery library beach birthday breakfast "
    "song movie today tonight tomorrow again finally never always so very happy tired late early lovely cold sunny "
    "with without to at in on for from and but cant dont 2moro gr8 12b 5th 9am"
)


@pytest.fixture(scope="session")
def cleaned_texts() -> list[str]:
    """80 distinct cleaned texts of 2 to 14 words; every length occurs."""
    rng, words = random.Random(0), VOCABULARY.split()
    texts = {}
    while len(texts) < 80:
        texts[" ".join(rng.choices(words, k=2 + len(texts) % 13))] = None
    return list(texts)


@pytest.fixture(scope="session")
def made_up_tweets(cleaned_texts) -> list[str]:
    """400 distinct cleaned tweets of 5 to 13 words."""
    words, rng = " ".join(cleaned_texts).split(), random.Random(0)
    # Completions lack the unique first word, so a test can tell them from tweets of the corpus.
    return [" ".join([f"tweet{i}", *rng.choices(words, k=rng.randint(4, 12))]) for i in range(400)]


@pytest.fixture(scope="session")
def corpus_path(made_up_tweets, tmp_path_factory) -> Path:
    """The made-up tweets in a file in the format of Sentiment140."""
    rows = [f'"0","{i}","","NO_QUERY","someone","{text}!"' for i, text in enumerate(made_up_tweets)]
    path = tmp_path_factory.mktemp("corpus") / "tweets.csv"
    path.write_text("\n".join(rows) + "\n", encoding="latin-1")
    return path


@pytest.fixture(scope="session")
def distilgpt2_path(made_up_tweets, tmp_path_factory) -> Path:
    """The folder of a tiny, untrained model with the architecture of distilgpt2."""
    folder = tmp_path_factory.mktemp("hub") / "distilgpt2"
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(made_up_tweets, vocab_size=400, special_tokens=["<|endoftext|>"])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe._tokenizer, eos_token="<|endoftext|>")
    sizes = {"vocab_size": len(tokenizer), "n_positions": 64, "n_embd": 16, "n_layer": 1, "n_head": 2}
    GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=0, eos_token_id=0)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tokenizer(cleaned_texts):
    # Only the first examples, so that a new one does not change the tokenizer of all tests.
    return train_tokenizer([*map(clean_string, TWEETS[:8]), *cleaned_texts], vocab_size=300)


@pytest.fixture(scope="session")
def tiny_lstm(tokenizer) -> LSTMLM:
    """An untrained LSTM in evaluation mode, with the same weights in every run."""
    torch.manual_seed(0)
    config = LSTMConfig(vocab_size=len(tokenizer), embedding_dim=16, hidden_dim=24, num_layers=2, dropout=0.0)
    return LSTMLM(config).eval()
