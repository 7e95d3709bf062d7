"""Both models on a GPU with the parameters of `vm/`: `python -m benchmarks.speed gpu`.

It trains the LSTM for one epoch on 1.28 million tweets and a transformer of distilgpt2's sizes for a tenth of one, with
the parameters of the notebooks in `vm/`. It also runs on a CPU, for hours.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedModel, PreTrainedTokenizerBase

from benchmarks.common import temporary_checkpoints
from benchmarks.speed.finetuning import DISTILGPT2_SIZES
from src.corpus.tokenization import train_tokenizer
from src.device import pick_device
from src.models.pretrained import load_pretrained
from src.recipe import new_lstm, token_datasets
from src.training.train import TrainingSettings, train
from vm.train import finetuning_settings, lstm_config, parameters, training_settings

NUM_TWEETS = 1_280_000
TOKENIZER_TEXTS = 300_000
TRANSFORMER_SHARE = 0.1
NUM_VAL_TEXTS = 1_000


def varied_texts(texts: list[str], num_texts: int) -> Iterator[str]:
    """`num_texts` texts: the texts repeated, each repetition with two words of another text added."""
    rng = np.random.default_rng(0)
    for i in range(num_texts):
        text = texts[i % len(texts)]
        others = texts[rng.integers(len(texts))].split()
        yield text if i < len(texts) else f"{text} {' '.join(rng.choice(others, 2))}"


def measure(
    name: str,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: list[str],
    settings: TrainingSettings,
) -> dict:
    """The row of a model."""
    device = pick_device()
    is_gpu = device.type == "cuda"
    settings = settings.on(device)
    model.to(device)
    datasets = token_datasets(tokenizer, texts, texts[:NUM_VAL_TEXTS])
    settings = replace(settings, max_epochs=1, max_tweets_seen=len(texts), eval_steps=len(texts))
    if is_gpu:
        torch.cuda.reset_peak_memory_stats()
    with temporary_checkpoints() as folder:
        result = train(model, *datasets, settings, folder, tokenizer.pad_token_id)
    return {
        "model": name,
        "device": torch.cuda.get_device_name() if is_gpu else device.type,
        "tweets": len(texts),
        "seconds": round(result.duration, 1),
        "tweets per second": round(len(texts) / result.duration),
        "peak MB on the GPU": round(torch.cuda.max_memory_allocated() / 1e6) if is_gpu else "",
    }


def gpu_speed(train_texts: list[str], num_tweets: int = NUM_TWEETS) -> list[dict]:
    """A row for an epoch of each model."""
    texts = list(varied_texts(train_texts, num_tweets))
    values = parameters("solution_lstm", [])
    tokenizer = train_tokenizer(texts[:TOKENIZER_TEXTS], values.vocab_size)
    lstm = new_lstm(tokenizer, lstm_config(values, len(texts)), values.seed)
    lstm_row = measure("LSTM", lstm, tokenizer, texts, training_settings(values))
    texts = texts[: int(TRANSFORMER_SHARE * len(texts))]
    settings = finetuning_settings(parameters("solution_pretrained", []), len(texts))
    transformer = GPT2LMHeadModel(GPT2Config(**DISTILGPT2_SIZES))
    return [lstm_row, measure("distilgpt2's sizes, random", transformer, load_pretrained().tokenizer, texts, settings)]
