"""Equal training budgets: the LSTM, a small transformer from random weights, and the fine-tuned transformer.

`python -m benchmarks.quality.budgets NAME MINUTES` trains one model for so many minutes of one core on the best corpus,
saves it as the run `budget_NAME` in `models/`, and writes `benchmarks/results/budgets_NAME.json`; with `--seed 1` the
names end in `_seed1`. A command that was killed resumes from its last evaluation.

The budget is counted in process seconds of one thread (`time.process_time`), because other work on the machine
lengthens wall time much and these little; wall time and load average are recorded beside them. Steps and the
preparation of their batches count. Evaluations and checkpoints don't: a model needs none to be trained.

The pace of a model, which is measured first, decides how many tweets it sees, so its learning rate falls to zero when
the budget ends. At the earlier points of its curve the rate is still high: a run planned to end there would be better.

All models are evaluated on the same validation tweets, in bits per character, and answer with greedy decoding.
"""

import argparse
import copy
import json
import math
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback

from benchmarks.common import SCORES, prepared_corpus, write_results
from src.corpus.tokenization import train_tokenizer
from src.data_utils import PreparedTweets
from src.evaluation.evaluate import evaluate
from src.evaluation.intervals import Summary
from src.evaluation.learning_curve import minutes_curve
from src.evaluation.selection import validation_texts
from src.evaluation.systems import ModelSystem
from src.files import write_json
from src.lstm_model import LSTMConfig
from src.models.pretrained import load_pretrained
from src.models.small_transformer import new_small_transformer
from src.next_token_dataset import NextTokenDataset
from src.recipe import new_lstm, token_datasets, write_run
from src.runs import find_run
from src.training.train import TrainingResult, TrainingSettings, make_trainer, train

# The last one is at the end.
NUM_EVALUATIONS = 10
# Validation tweets: of the losses while training, and of the scores at the end.
NUM_LOSS_TEXTS = 1_000
NUM_PAIRS = 1_000
# A batch holds tweets of similar length: one of this many in a pool of `SimilarLengthSampler`.
POOL_BATCHES = 50
CLOCK_FILE = "clock.json"
PLAN_FILE = "plan.json"
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
        pace_batches: number of batches that are timed, each twice.
    """

    start: Start
    settings: TrainingSettings
    pace_batches: int


@dataclass(frozen=True)
class Tuning:
    """Trials on validation tweets that were made before a model's settings were fixed, and their minutes in all."""

    what: str
    trials: int
    minutes: float


def lstm(train_texts: list[str], seed: int) -> tuple[PreTrainedTokenizerBase, Callable[[], PreTrainedModel]]:
    """The committed recipe."""
    config = LSTMConfig(dropout=0.0)
    tokenizer = train_tokenizer(train_texts, config.vocab_size)
    return tokenizer, partial(new_lstm, tokenizer, config, seed)


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


WITH_MUON = TrainingSettings(learning_rate=8e-3, muon_learning_rate=0.04, batch_size=256)
CONTESTANTS = {
    "lstm": Contestant(lstm, WITH_MUON, pace_batches=50),
    "small_transformer": Contestant(small_transformer, WITH_MUON, pace_batches=50),
    "finetuned": Contestant(
        finetuned,
        TrainingSettings(learning_rate=2e-4, muon_learning_rate=0.0, batch_size=32, num_sampled_tokens=0),
        pace_batches=15,
    ),
}
# Written by hand: add a row with every trial that decides on settings above.
TUNING = {
    "lstm": (Tuning("trials on few tweets, benchmarks/results/trials.jsonl", trials=40, minutes=325.3),),
    "small_transformer": (Tuning("rates of 1e-3, 2e-3 and 4e-3, 18,000 tweets each", trials=3, minutes=1.4),),
    "finetuned": (Tuning("learning rates and LoRA, benchmarks/results/finetuning.json", trials=4, minutes=11.8),),
}


class TrainingClock(TrainerCallback):
    """Process and wall seconds of training at every evaluation, in a file beside the checkpoints.

    What an interrupted run did after its last checkpoint is done again and counts once.
    """

    def __init__(self, path: Path):
        self.path = path
        self.rows: list[dict] = []

    def on_train_begin(self, args, state, control, **kwargs) -> None:
        if state.global_step:
            rows = json.loads(self.path.read_text(encoding="utf-8"))
            self.rows = [row for row in rows if row["step"] <= state.global_step]
        self.seconds = np.array(
            [self.rows[-1][name] for name in ("process_seconds", "wall_seconds")] if self.rows else [0.0, 0.0]
        )
        self.mark = None

    def on_step_begin(self, args, state, control, **kwargs) -> None:
        # Before the first step a resumed run looks for its place in the data.
        if self.mark is None:
            self.mark = now()

    def on_step_end(self, args, state, control, **kwargs) -> None:
        at = now()
        self.seconds, self.mark = self.seconds + at - self.mark, at

    def on_evaluate(self, args, state, control, **kwargs) -> None:
        process_seconds, wall_seconds = self.seconds.round(2).tolist()
        row = {"process_seconds": process_seconds, "wall_seconds": wall_seconds, "load_average": os.getloadavg()[0]}
        self.rows.append({"step": state.global_step, **row})
        write_json(self.path, self.rows)
        self.mark = now()

    def on_save(self, args, state, control, **kwargs) -> None:
        self.mark = now()


class StopWatch(TrainerCallback):
    """Process time after every step; stops the run after a number of them."""

    def __init__(self, num_steps: int):
        self.num_steps = num_steps
        self.times: list[float] = []

    def on_step_end(self, args, state, control, **kwargs) -> None:
        self.times.append(time.process_time())
        control.should_training_stop = len(self.times) == self.num_steps


def now() -> np.ndarray:
    """Process seconds and wall seconds."""
    return np.array([time.process_time(), time.perf_counter()])


def batches_like_a_pool(lengths: np.ndarray, batch_size: int, num_batches: int) -> np.ndarray:
    """Texts whose batches are as long, on average, as those of training.

    A pool of `POOL_BATCHES` batches is sorted by length; each batch is a fiftieth of it. These are the texts of
    `num_batches` such batches at equal distances. Of a few batches drawn at random, the mean length varies too much.

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


def budget_settings(settings: TrainingSettings, minutes: float, pace: float, num_texts: int) -> TrainingSettings:
    """The settings with which training takes so many minutes.

    Args:
        minutes: process minutes of training.
        pace: tweets that training reads in a process second.
        num_texts: number of training texts.
    """
    num_tweets = max(1, round(minutes * 60 * pace / settings.batch_size)) * settings.batch_size
    return replace(
        settings,
        max_tweets_seen=num_tweets,
        max_epochs=math.ceil(num_tweets / num_texts),
        eval_steps=1 / NUM_EVALUATIONS,
        # The run never stops before its budget ends.
        patience=NUM_EVALUATIONS + 1,
    )


def planned_pace(path: Path, request: dict, measure: Callable[[], float]) -> float:
    """The pace in a plan of the same request, so that a resumed run has the same steps; else a new plan's."""
    if path.is_file():
        plan = json.loads(path.read_text(encoding="utf-8"))
        if plan["request"] == request:
            return plan["tweets_per_second"]
    pace = measure()
    write_json(path, {"request": request, "tweets_per_second": pace})
    return pace


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


def run_budget(
    name: str, minutes: float, tweets: PreparedTweets, data: dict, models_dir: str | Path = "models", seed: int = 0
) -> dict:
    """Train a contestant for so many minutes, save its run, and return its row of results.

    Args:
        name: one of `CONTESTANTS`.
        minutes: process minutes of training.
        tweets, data: the corpus and its record, as from `prepared_corpus`.
        seed: seed of initial weights, dropout and order of the tweets.
    """
    contestant, run_name = CONTESTANTS[name], f"budget_{with_seed(name, seed)}"
    work_dir = Path(models_dir) / f".{run_name}-{minutes:g}-minutes"
    train_texts, val_texts = tweets.texts("train"), validation_texts(tweets, seed=0)
    loss_texts, pair_texts = val_texts[:NUM_LOSS_TEXTS], val_texts[:NUM_PAIRS]
    tokenizer, new_model = contestant.start(train_texts, seed)
    datasets = token_datasets(tokenizer, train_texts, loss_texts)
    measure = partial(measured_pace, contestant, new_model, tokenizer, datasets[0], train_texts)
    request = {"settings": asdict(contestant.settings), "sha256": data["sha256"], "tweets": len(train_texts)}
    pace = planned_pace(work_dir / PLAN_FILE, request, measure)
    settings = budget_settings(replace(contestant.settings, seed=seed), minutes, pace, len(train_texts))
    model, checkpoint_dir = new_model(), work_dir / "checkpoints"
    clock = TrainingClock(checkpoint_dir / CLOCK_FILE)
    result = train(model, *datasets, settings, checkpoint_dir, tokenizer.pad_token_id, callbacks=[clock])
    result = with_clock(result, checkpoint_dir / CLOCK_FILE)
    system = ModelSystem(run_name, model, tokenizer)
    summary = evaluate(system, pair_texts).summary(seed=0)
    write_run(system, result, summary, len(pair_texts), data, models_dir)
    run_dir = find_run(run_name, models_dir=models_dir)
    row = result_row(name, model, result, summary, minutes_curve(run_dir, loss_texts, tokenizer)["value"].tolist())
    shutil.rmtree(work_dir)
    return {**row, "budget_minutes": minutes, "seed": seed, "tweets_per_second": round(pace, 2), "run": run_dir.name}


def with_seed(name: str, seed: int) -> str:
    """The name of a contestant, with its seed unless that is 0."""
    return f"{name}_seed{seed}" if seed else name


def with_clock(result: TrainingResult, clock_path: Path) -> TrainingResult:
    """The result with the clock's seconds in its history, which becomes the run's `history.json`."""
    seconds = {row["step"]: row for row in json.loads(clock_path.read_text(encoding="utf-8"))}
    return replace(result, history=[{**row, **seconds[row["step"]]} for row in result.history])


def result_row(
    name: str, model: PreTrainedModel, result: TrainingResult, summary: Summary, bits_per_character: list[float]
) -> dict:
    """What the file of results holds of a model: its times, settings, curve, scores and tuning."""
    columns = ("step", "tweets_seen", "process_seconds", "wall_seconds", "load_average", "val_loss")
    curve = [
        {**{column: row[column] for column in columns}, "bits_per_character": bits}
        for row, bits in zip(result.history, bits_per_character)
    ]
    return {
        "name": name,
        "architecture": model.config.model_type,
        "parameters": model.num_parameters(),
        "process_minutes": round(curve[-1]["process_seconds"] / 60, 2),
        "wall_minutes": round(curve[-1]["wall_seconds"] / 60, 2),
        "tweets_seen": curve[-1]["tweets_seen"],
        "training": asdict(result.settings),
        "curve": curve,
        **{score: asdict(summary[score]) for score in SCORES},
        "tuning": [asdict(one) for one in TUNING[name]],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=CONTESTANTS)
    parser.add_argument("minutes", type=float, help="process minutes of training on one core")
    parser.add_argument("--seed", type=int, default=0, help="of initial weights, dropout and order of the tweets")
    args = parser.parse_args()
    torch.set_num_threads(1)
    tweets, data = prepared_corpus()
    row = run_budget(args.name, args.minutes, tweets, data, seed=args.seed)
    settings = {"pairs": NUM_PAIRS, "loss_texts": NUM_LOSS_TEXTS, "threads": 1}
    command = f"python -m benchmarks.quality.budgets {args.name} {args.minutes:g} --seed {args.seed}"
    write_results(f"budgets_{with_seed(args.name, args.seed)}", data, settings, [row], command)


if __name__ == "__main__":
    main()
