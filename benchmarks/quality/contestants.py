"""The models that get equal training budgets, and the trials that were made before their settings were fixed."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from src.corpus.tokenization import train_tokenizer
from src.lstm_model import LSTMConfig
from src.models.pretrained import load_pretrained
from src.models.small_transformer import new_small_transformer
from src.recipe import new_lstm
from src.training.train import TrainingSettings

CPU = torch.device("cpu")

Start = Callable[[list[str], int], tuple[PreTrainedTokenizerBase, Callable[[], PreTrainedModel]]]


@dataclass(frozen=True)
class Contestant:
    """A model that gets a budget.

    Attributes:
        start: makes a tokenizer and a function from training texts and a seed. Every call of the function returns a
            new model with the same weights.
        settings: settings of its training run, with the loss on all tokens to the end. The budget sets the number of
            tweets.
        pace_batches: number of batches in a timed pass; a pass before it warms up.
        num_typed: number of test tweets that the model types key by key; fewer for a slow one.
    """

    start: Start
    settings: TrainingSettings
    pace_batches: int
    num_typed: int = 1_000


@dataclass(frozen=True)
class Tuning:
    """Trials on validation tweets that were made before a model's settings were fixed, and their minutes in all."""

    what: str
    trials: int
    minutes: float


def lstm(train_texts: list[str], seed: int) -> tuple[PreTrainedTokenizerBase, Callable[[], PreTrainedModel]]:
    """An LSTM of the committed sizes, with its own tokenizer."""
    tokenizer = train_tokenizer(train_texts, LSTMConfig().vocab_size)
    return tokenizer, partial(new_lstm, tokenizer, LSTMConfig(), seed)


def small_transformer(
    train_texts: list[str], seed: int
) -> tuple[PreTrainedTokenizerBase, Callable[[], PreTrainedModel]]:
    """A transformer of the LSTM's size with its tokenizer."""
    tokenizer = train_tokenizer(train_texts, LSTMConfig().vocab_size)
    return tokenizer, partial(new_small_transformer, tokenizer, seed)


def finetuned(train_texts: list[str], seed: int) -> tuple[PreTrainedTokenizerBase, Callable[[], PreTrainedModel]]:
    """The pretrained transformer, with its own tokenizer and the same weights for every seed."""
    lm = load_pretrained(device=CPU)
    return lm.tokenizer, partial(copy.deepcopy, lm.model)


CONTESTANTS = {
    "lstm": Contestant(lstm, TrainingSettings(), pace_batches=50),
    "small_transformer": Contestant(small_transformer, TrainingSettings(), pace_batches=50),
    "finetuned": Contestant(
        finetuned,
        TrainingSettings(learning_rate=2e-4, muon_learning_rate=0.0, batch_size=32, num_sampled_tokens=0),
        pace_batches=15,
        num_typed=200,
    ),
}
# Written by hand: add a row with every trial that decides on settings above. Trials "at full length" were trained on a
# GPU, on as many tweets as one core reads in the given minutes (trials.jsonl and finetuning_trials.jsonl in
# benchmarks/results).
TUNING = {
    "lstm": (
        Tuning("trials on few tweets, benchmarks/results/trials.jsonl", trials=40, minutes=325.3),
        Tuning("on the complete corpus", trials=5, minutes=55.2),
        Tuning("at full length", trials=12, minutes=12 * 180.0),
    ),
    "small_transformer": (Tuning("rates of 1e-3, 2e-3 and 4e-3, 18,000 tweets each", trials=3, minutes=1.4),),
    "finetuned": (
        Tuning("learning rates and LoRA, benchmarks/results/finetuning.json", trials=4, minutes=11.8),
        Tuning("at full length: four rates, and a larger batch", trials=5, minutes=5 * 142.0),
    ),
}
