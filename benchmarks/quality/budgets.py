"""Equal training budgets: the LSTM, a small transformer from random weights, and the fine-tuned transformer.

`python -m benchmarks.quality.budgets NAME MINUTES` trains one model of `benchmarks/quality/contestants.py`, saves it as
the run `budget_NAME` in `models/`, and writes `benchmarks/results/budgets_NAME_MINUTES_minutes.json`. With `--seed 1`
the name is followed by `_seed1`. A command that was killed resumes from its last evaluation. The test pairs of the
final comparison are scored by `benchmarks/quality/method_scores.py`.

The model sees as many tweets as one core reads in so many minutes, by the paces that `benchmarks/quality/paces.py`
measured side by side. So budgets are equal on the machine of the paces, and a run on a faster machine, or on two cores,
does not get more tweets. The learning rate falls to zero when the budget ends: at the earlier points of its curve it is
still high, and a run planned to end there would be better.

Time is processor time (`time.process_time`), because other work on the machine hardly changes it; wall time and load
average are recorded beside it. Steps and the preparation of their batches count. Evaluations and checkpoints don't: a
model needs none to be trained.

All models are evaluated on the same validation tweets, in bits per character, and answer with greedy decoding.
"""

import argparse
import json
import math
import os
import shutil
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedModel, TrainerCallback

from benchmarks.common import SCORES, prepared_corpus, write_results
from benchmarks.quality.contestants import CONTESTANTS, TUNING
from benchmarks.quality.paces import known_pace
from src.data_utils import PreparedTweets
from src.evaluation.evaluate import evaluate
from src.evaluation.intervals import Summary
from src.evaluation.learning_curve import minutes_curve
from src.evaluation.selection import validation_texts
from src.evaluation.systems import ModelSystem
from src.files import write_json
from src.recipe import token_datasets, write_run
from src.runs import find_run
from src.training.train import TrainingResult, TrainingSettings, train

# The last one is at the end.
NUM_EVALUATIONS = 10
# Validation tweets: of the losses while training, and of the scores at the end.
NUM_LOSS_TEXTS = 1_000
NUM_PAIRS = 1_000
CLOCK_FILE = "clock.json"


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


def now() -> np.ndarray:
    """Process seconds and wall seconds."""
    return np.array([time.process_time(), time.perf_counter()])


def budget_settings(settings: TrainingSettings, minutes: float, pace: float, num_texts: int) -> TrainingSettings:
    """The settings with which training reads as many tweets as fit into the minutes at a pace.

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


def run_budget(
    name: str,
    minutes: float,
    pace: float,
    tweets: PreparedTweets,
    data: dict,
    models_dir: str | Path = "models",
    seed: int = 0,
) -> dict:
    """Train a contestant for a budget, save its run, and return its row of results.

    Args:
        name: one of `CONTESTANTS`.
        minutes: process minutes of training.
        pace: tweets that training reads in a process second.
        tweets, data: the corpus and its record, as from `prepared_corpus`.
        seed: seed of initial weights, dropout and order of the tweets.
    """
    contestant, run_name = CONTESTANTS[name], f"budget_{with_seed(name, seed)}"
    work_dir = Path(models_dir) / f".{run_name}-{minutes:g}-minutes"
    train_texts, val_texts = tweets.texts("train"), validation_texts(tweets, seed=0)
    loss_texts, pair_texts = val_texts[:NUM_LOSS_TEXTS], val_texts[:NUM_PAIRS]
    tokenizer, new_model = contestant.start(train_texts, seed)
    datasets = token_datasets(tokenizer, train_texts, loss_texts)
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
    return {**row, "budget_minutes": minutes, "seed": seed, "tweets_per_second": pace, "run": run_dir.name}


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
    parser.add_argument("--threads", type=int, default=1, help="of training; the number of tweets stays the same")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    tweets, data = prepared_corpus()
    settings = {"pairs": NUM_PAIRS, "loss_texts": NUM_LOSS_TEXTS, "threads": args.threads}
    row = run_budget(args.name, args.minutes, known_pace(args.name), tweets, data, seed=args.seed)
    name = f"budgets_{with_seed(args.name, args.seed)}_{args.minutes:g}_minutes"
    command = (
        f"python -m benchmarks.quality.budgets {args.name} {args.minutes:g} --seed {args.seed} --threads {args.threads}"
    )
    write_results(name, data, settings, [row], command)


if __name__ == "__main__":
    main()
