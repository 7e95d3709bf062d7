"""The answers to the exercises of `solution_lstm.ipynb` run on a tiny model and are right."""

import math

import pytest
import torch

from src.examples import PROMPTS, TWEETS
from src.lstm_model import LSTMLM, LSTMConfig
from src.report.lessons import token_loss_table
from tests.exercises import answers


@pytest.fixture
def run(tokenizer):
    """A function that runs an answer with what the notebook has defined, and returns the names after it."""
    torch.manual_seed(0)
    ids = {name: getattr(tokenizer, name) for name in ("pad_token_id", "bos_token_id", "eos_token_id")}
    model = LSTMLM(LSTMConfig(vocab_size=len(tokenizer), embedding_dim=16, hidden_dim=24, dropout=0.0, **ids)).eval()
    with torch.no_grad():
        model.lm_head.bias.normal_(std=2.0)

    def run(number: int) -> dict:
        names = {"model": model, "tokenizer": tokenizer, "TWEETS": TWEETS, "PROMPTS": PROMPTS}
        exec(answers("solution_lstm")[number - 1], names)
        return names

    return run


def test_there_are_three_exercises():
    assert len(answers("solution_lstm")) == 3


def test_the_perplexity_by_hand_is_that_of_the_loss(run):
    names = run(1)
    table = token_loss_table(names["model"], names["tokenizer"], TWEETS[2])
    assert names["perplexity"] == pytest.approx(math.exp(-table["log_probability"].mean()), rel=1e-6)


def test_a_higher_temperature_makes_the_most_probable_word_less_probable(run):
    largest = run(2)["largest"]
    assert list(largest) == sorted(largest)
    assert list(largest.values()) == sorted(largest.values(), reverse=True)
    assert len(set(largest.values())) == len(largest) and all(0 < p < 1 for p in largest.values())


def test_without_the_mask_every_token_is_a_target(run):
    names = run(3)
    tokenizer, num_targets = names["tokenizer"], names["num_targets"]
    num_tokens = sum(len(tokenizer.tokenize(text)) + 1 for text in TWEETS)
    assert num_targets["none"] == num_tokens > num_targets["words"] > len(TWEETS)
    assert all(math.isfinite(loss) for loss in names["loss"].values())
    assert names["loss"]["none"] != names["loss"]["words"]
