"""Both models on a GPU with the parameters of `vm/`: `python -m benchmarks.speed gpu`.

It trains the LSTM for one epoch on 1.28 million tweets and a transformer of distilgpt2's sizes for a tenth of one, with
the parameters of the notebooks in `vm/`, and profiles a training step of each. It also runs on a CPU, for hours.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice

import numpy as np
import torch
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedModel, PreTrainedTokenizerBase

from benchmarks.common import temporary_checkpoints
from benchmarks.speed.finetuning import DISTILGPT2_SIZES
from benchmarks.speed.timing import operation_times
from src.corpus.tokenization import train_tokenizer
from src.device import pick_device
from src.models.pretrained import load_pretrained
from src.next_token_dataset import NextTokenDataset, collate_batch
from src.recipe import new_lstm, token_datasets
from src.training.batches import SimilarLengthSampler, unmask_context
from src.training.loss import training_loss
from src.training.train import TrainingSettings, train
from vm.train import finetuning_settings, lstm_config, parameters, training_settings

NUM_TWEETS = 1_280_000
TOKENIZER_TEXTS = 300_000
TRANSFORMER_SHARE = 0.1
NUM_VAL_TEXTS = 1_000
PROFILED_STEPS = 20
TOP_OPERATIONS = 10


def varied_texts(texts: list[str], num_texts: int) -> Iterator[str]:
    """`num_texts` texts: the texts repeated, each repetition with two words of another text added."""
    rng = np.random.default_rng(0)
    for i in range(num_texts):
        text = texts[i % len(texts)]
        others = texts[rng.integers(len(texts))].split()
        yield text if i < len(texts) else f"{text} {' '.join(rng.choice(others, 2))}"


def step_maker(
    model: PreTrainedModel, dataset: NextTokenDataset, settings: TrainingSettings, pad_id: int
) -> Callable[[int], None]:
    """A function that makes the number of training steps it is given, as in the first steps of these settings."""
    device, optimizer = model.device, torch.optim.AdamW(model.train().parameters(), settings.learning_rate, fused=True)
    sampler = iter(SimilarLengthSampler(dataset.lengths, settings.batch_size, settings.seed))

    def make(num_steps: int) -> None:
        for _ in range(num_steps):
            batch = collate_batch([dataset[i] for i in islice(sampler, settings.batch_size)], pad_id)
            batch = {name: tensor.to(device) for name, tensor in batch.items()}
            with torch.autocast(device.type, torch.bfloat16, enabled=settings.bf16):
                loss = training_loss(model, unmask_context(batch) if settings.all_tokens_share else batch)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()

    return make


def step_profile(name: str, make_steps: Callable[[int], None], is_gpu: bool) -> list[dict]:
    """The operations that take most of the device's time, and their share of the wall time of a step."""
    make_steps(PROFILED_STEPS)
    times, wall_time = operation_times(make_steps, PROFILED_STEPS, is_gpu)
    rows = {"all": sum(times.values()), **dict(islice(times.items(), TOP_OPERATIONS))}
    return [
        {
            "model": name,
            "operation": operation,
            "ms per step": round(value, 2),
            "share of the step": f"{value / wall_time:.0%}",
        }
        for operation, value in rows.items()
    ]


def measure(
    name: str,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: list[str],
    settings: TrainingSettings,
) -> tuple[dict, list[dict]]:
    """The row of an epoch, and the profile of a step."""
    device = pick_device()
    is_gpu = device.type == "cuda"
    settings = settings.on(device)
    model.to(device)
    datasets = token_datasets(tokenizer, texts, texts[:NUM_VAL_TEXTS])
    profiled = step_profile(name, step_maker(model, datasets[0], settings, tokenizer.pad_token_id), is_gpu)
    settings = replace(settings, max_epochs=1, max_tweets_seen=len(texts), eval_steps=len(texts))
    if is_gpu:
        torch.cuda.reset_peak_memory_stats()
    with temporary_checkpoints() as folder:
        result = train(model, *datasets, settings, folder, tokenizer.pad_token_id)
    row = {
        "model": name,
        "device": torch.cuda.get_device_name() if is_gpu else device.type,
        "tweets": len(texts),
        "seconds": round(result.duration, 1),
        "tweets per second": round(len(texts) / result.duration),
        "peak MB on the GPU": round(torch.cuda.max_memory_allocated() / 1e6) if is_gpu else "",
    }
    return row, profiled


def gpu_speed(train_texts: list[str], num_tweets: int = NUM_TWEETS) -> tuple[list[dict], list[dict]]:
    """A row for an epoch of each model, and the profiles of their steps."""
    texts = list(varied_texts(train_texts, num_tweets))
    values = parameters("solution_lstm", [])
    tokenizer = train_tokenizer(texts[:TOKENIZER_TEXTS], values.vocab_size)
    lstm = new_lstm(tokenizer, lstm_config(values, len(texts)), values.seed)
    lstm_row, lstm_profile = measure("LSTM", lstm, tokenizer, texts, training_settings(values))
    texts = texts[: int(TRANSFORMER_SHARE * len(texts))]
    settings = finetuning_settings(parameters("solution_pretrained", []), len(texts))
    transformer = GPT2LMHeadModel(GPT2Config(**DISTILGPT2_SIZES))
    row, profiled = measure("distilgpt2's sizes, random", transformer, load_pretrained().tokenizer, texts, settings)
    return [lstm_row, row], [*lstm_profile, *profiled]
