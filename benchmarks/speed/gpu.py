"""Both models on a GPU with the parameters of `vm/`: `python -m benchmarks.speed.gpu`.

An epoch of the LSTM over 1.28 million tweets, a tenth of one of a transformer of distilgpt2's sizes, as the notebooks
of `vm/` train them, and what the GPU does in a step. It writes `benchmarks/results/gpu.json`. On any other device it
measures the same, and takes its time.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice

import numpy as np
import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedModel, PreTrainedTokenizerBase

from benchmarks.common import prepared_corpus, train_in_passing, write_results
from benchmarks.speed.finetuning import DISTILGPT2_SIZES
from src.corpus.tokenization import train_tokenizer
from src.device import has_fast_bf16, pick_device
from src.lstm_model import LSTMLM, LSTMConfig
from src.models.pretrained import load_pretrained
from src.next_token_dataset import NextTokenDataset, collate_batch
from src.training.batches import SimilarLengthSampler, unmask_context
from src.training.loss import training_loss
from src.training.train import TrainingSettings
from vm.train import parameters, training_settings

NUM_TWEETS = 1_280_000
TRANSFORMER_SHARE = 0.1
NUM_VAL_TEXTS = 1_000
PROFILED_STEPS = 20
TOP_OPERATIONS = 10


def varied_texts(texts: list[str], num_texts: int) -> Iterator[str]:
    """The texts again and again, from the second time on each with two words of another one."""
    rng = np.random.default_rng(0)
    for i in range(num_texts):
        text = texts[i % len(texts)]
        others = texts[rng.integers(len(texts))].split()
        yield text if i < len(texts) else f"{text} {' '.join(rng.choice(others, 2))}"


def steps(
    model: PreTrainedModel, dataset: NextTokenDataset, settings: TrainingSettings, pad_id: int
) -> Callable[[int], None]:
    """A function that makes so many steps of training, all of the context counted where the settings ask for it."""
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
    """The operations that take most of the device's time, and the share of the time that it is busy."""
    make_steps(PROFILED_STEPS)
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if is_gpu else [])]
    started = time.perf_counter()
    with profile(activities=activities) as profiler:
        make_steps(PROFILED_STEPS)
        if is_gpu:
            torch.cuda.synchronize()
    milliseconds = 1e3 * (time.perf_counter() - started) / PROFILED_STEPS
    time_of = "self_device_time_total" if is_gpu else "self_cpu_time_total"
    # An operation on the CPU is given the time of its kernels, which are there themselves.
    counted = DeviceType.CUDA if is_gpu else DeviceType.CPU
    events = [event for event in profiler.key_averages() if event.device_type == counted]
    busy = {event.key: getattr(event, time_of) / 1e3 / PROFILED_STEPS for event in events}
    rows = [{"model": name, "operation": "all", "ms per step": sum(busy.values()), "share of the step": 0.0}]
    rows += [
        {"model": name, "operation": operation, "ms per step": value}
        for operation, value in sorted(busy.items(), key=lambda item: -item[1])[:TOP_OPERATIONS]
    ]
    return [{**row, "share of the step": row["ms per step"] / milliseconds} for row in rows]


def measure(
    name: str,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: list[str],
    settings: TrainingSettings,
) -> tuple[dict, list[dict]]:
    """A row of an epoch, and the profile of a step."""
    device = pick_device()
    model.to(device)
    datasets = [
        NextTokenDataset(part, tokenizer, tokenizer.eos_token_id, context_unit="words")
        for part in (texts, texts[:NUM_VAL_TEXTS])
    ]
    profiled = step_profile(name, steps(model, datasets[0], settings, tokenizer.pad_token_id), device.type == "cuda")
    settings = replace(settings, max_epochs=1, max_tweets_seen=len(texts), eval_steps=len(texts))
    result = train_in_passing(model, datasets, settings, tokenizer.pad_token_id)
    row = {
        "model": name,
        "tweets": len(texts),
        "seconds": round(result.duration, 1),
        "tweets per second": round(len(texts) / result.duration),
        "peak MB on the GPU": round(torch.cuda.max_memory_allocated() / 1e6) if device.type == "cuda" else None,
    }
    return row, profiled


def main() -> None:
    tweets, data = prepared_corpus()
    texts = list(varied_texts(tweets.texts("train"), NUM_TWEETS))
    values = parameters("solution_lstm", [])
    tokenizer = train_tokenizer(texts[:300_000], values.vocab_size)
    lstm = LSTMLM(
        LSTMConfig(
            vocab_size=len(tokenizer),
            embedding_dim=values.embedding_dim,
            hidden_dim=values.hidden_dim,
            dropout=values.dropout,
        )
    )
    bf16 = has_fast_bf16(pick_device())
    lstm_row, lstm_profile = measure("LSTM", lstm, tokenizer, texts, training_settings(values, bf16=bf16))
    settings = training_settings(parameters("solution_pretrained", []))
    transformer = GPT2LMHeadModel(GPT2Config(**DISTILGPT2_SIZES))
    some = texts[: int(TRANSFORMER_SHARE * len(texts))]
    row, profiled = measure("distilgpt2's sizes, random", transformer, load_pretrained().tokenizer, some, settings)
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else pick_device().type
    tables = [{"title": "epochs", "rows": [lstm_row, row]}, {"title": "steps", "rows": [*lstm_profile, *profiled]}]
    write_results("gpu", data, {"device": device, "seed": 0}, tables, command="python -m benchmarks.speed.gpu")


if __name__ == "__main__":
    main()
