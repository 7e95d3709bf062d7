"""How many tweets each model reads in a second of training, on one core.

`python -m benchmarks.quality.paces` measures the models of `benchmarks/quality/contestants.py`, which take turns on one
machine, and writes `benchmarks/results/paces.json`. Equal budgets follow from it, see `benchmarks/quality/budgets.py`.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback

from benchmarks.common import prepared_corpus, read_results, write_results
from benchmarks.quality.contestants import CONTESTANTS, CPU, Contestant
from src.next_token_dataset import NextTokenDataset
from src.recipe import token_datasets
from src.training.train import TrainingSettings, make_trainer

# A batch holds tweets of similar length: one of this many in a pool of `SimilarLengthSampler`.
POOL_BATCHES = 50
TURNS = 3


class StopWatch(TrainerCallback):
    """Process time after every step; stops the run after a number of them."""

    def __init__(self, num_steps: int):
        self.num_steps = num_steps
        self.times: list[float] = []

    def on_step_end(self, args, state, control, **kwargs) -> None:
        self.times.append(time.process_time())
        control.should_training_stop = len(self.times) == self.num_steps


def batches_like_a_pool(lengths: np.ndarray, batch_size: int, num_batches: int) -> np.ndarray:
    """Texts whose batches are as long, on average, as those of training.

    A pool of `POOL_BATCHES` batches is sorted by length; each batch is a fiftieth of it. These are the texts of
    `num_batches` such batches at equal distances. The mean length of a few random batches varies too much.

    Args:
        lengths: int [texts].
        num_batches: at most `POOL_BATCHES`.

    Returns:
        indices of texts, int64 [num_batches * batch_size]; a small corpus repeats some.
    """
    centres = (np.arange(num_batches) + 0.5) / num_batches
    within = ((np.arange(batch_size) + 0.5) / batch_size - 0.5) / POOL_BATCHES
    ranks = ((centres[:, None] + within).ravel() * len(lengths)).astype(np.int64)
    return np.argsort(lengths, kind="stable")[ranks]


def tweets_per_second(
    model: PreTrainedModel, texts: list[str], tokenizer: PreTrainedTokenizerBase, settings: TrainingSettings
) -> float:
    """Tweets that training reads in a process second: the second pass over texts of complete batches.

    In the first pass torch prepares its kernels for the batches' shapes, so it is not counted.
    """
    num_batches = len(texts) // settings.batch_size
    dataset, _ = token_datasets(tokenizer, texts, texts[:1])
    # The run is stopped before its end, so it neither evaluates nor saves.
    settings = replace(settings, max_epochs=3, max_tweets_seen=3 * len(texts), eval_steps=3 * num_batches)
    watch = StopWatch(2 * num_batches)
    with TemporaryDirectory() as folder:
        args = settings.on(CPU), Path(folder), tokenizer.pad_token_id
        make_trainer(model, dataset, dataset, *args, [watch]).train()
    return len(texts) / (watch.times[-1] - watch.times[num_batches - 1])


def measured_pace(
    contestant: Contestant,
    new_model: Callable[[], PreTrainedModel],
    tokenizer: PreTrainedTokenizerBase,
    dataset: NextTokenDataset,
    train_texts: list[str],
) -> float:
    """The pace of a contestant on batches like those of its training."""
    settings = contestant.settings
    chosen = batches_like_a_pool(dataset.lengths, settings.batch_size, contestant.pace_batches)
    return tweets_per_second(new_model(), [train_texts[i] for i in chosen], tokenizer, settings)


def measure_paces(train_texts: list[str]) -> list[dict]:
    """The median pace of every contestant; they take turns."""
    started = {name: one.start(train_texts, 0) for name, one in CONTESTANTS.items()}
    datasets = {
        name: token_datasets(tokenizer, train_texts, train_texts[:1])[0] for name, (tokenizer, _) in started.items()
    }
    paces: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
    for _ in range(TURNS):
        for name, contestant in CONTESTANTS.items():
            tokenizer, new_model = started[name]
            paces[name].append(measured_pace(contestant, new_model, tokenizer, datasets[name], train_texts))
    return [
        {"name": name, "tweets_per_second": round(float(np.median(each)), 2), "turns": np.round(each, 2).tolist()}
        for name, each in paces.items()
    ]


def known_pace(name: str) -> float:
    """The pace of a contestant in the file of results."""
    [pace] = [row["tweets_per_second"] for row in read_results("paces") if row["name"] == name]
    return pace


def main() -> None:
    torch.set_num_threads(1)
    tweets, data = prepared_corpus()
    write_results(
        "paces", data, {"threads": 1}, measure_paces(tweets.texts("train")), "python -m benchmarks.quality.paces"
    )


if __name__ == "__main__":
    main()
