"""The LSTM of the newest run with other seeds, and the plain recipe that it has to beat, as run folders.

`make seeds` trains `lstm_seed1`, `lstm_seed2` and `lstm_recipe` beside `models/lstm_lm-<timestamp>`: the seeds for
as many steps, the recipe for as many seconds as the last of them took. `compare.ipynb` takes those that it finds
into its tables. One of them alone: `python -m benchmarks.quality.seeds lstm_recipe`.

The recipe: 256/512, one layer, 30,522 pieces (the size of BERT's vocabulary), the loss on the target only, AdamW
with 2e-3, no dropout.
"""

import shutil
import sys
from dataclasses import asdict, fields, replace
from pathlib import Path

from benchmarks.common import prepared_corpus, train_lstm
from src.evaluation.evaluate import evaluate, evaluation_texts
from src.evaluation.intervals import as_record
from src.evaluation.systems import ModelSystem
from src.lstm_model import save_lstm_lm
from src.runs import find_run, new_run, read_meta, run_metadata
from src.training.train import TrainingSettings

NUM_VAL_TEXTS = 5_000
NUM_PAIRS = 2_000
SEEDS = {"lstm_seed1": 1, "lstm_seed2": 2}
RECIPE = "lstm_recipe"
RECIPE_SIZES = {"vocab_size": 30_522, "embedding_dim": 256, "hidden_dim": 512, "num_layers": 1, "dropout": 0.0}
REHEARSAL_TWEETS = 12_800


def settings_of(meta: dict) -> TrainingSettings:
    """The settings that a run records."""
    names = {field.name for field in fields(TrainingSettings)}
    return TrainingSettings(**{name: value for name, value in meta["settings"].items() if name in names})


def sizes_of(meta: dict) -> dict:
    """The sizes of a run's model, as `train_lstm` takes them."""
    return {
        name: value for name, value in meta["model"].items() if name.endswith(("_dim", "_size", "_layers", "dropout"))
    }


def recipe_settings(seconds: float, train_texts: list[str], val_texts: list[str]) -> TrainingSettings:
    """The recipe's settings for a training of so many seconds, from the pace of a rehearsal."""
    plain = TrainingSettings(learning_rate=2e-3, weight_decay=0.01, eval_steps=REHEARSAL_TWEETS)
    rehearsal = replace(plain, max_tweets_seen=REHEARSAL_TWEETS)
    _, _, result = train_lstm(train_texts, val_texts[:100], RECIPE_SIZES, rehearsal)
    tweets_seen = int(REHEARSAL_TWEETS * seconds / result.duration)
    return replace(plain, max_tweets_seen=tweets_seen, max_epochs=100, eval_steps=0.125)


def train_beside(name: str) -> None:
    """Train one of the models and save it with its scores on validation pairs."""
    tweets, data = prepared_corpus()
    train_texts = tweets.texts("train")
    val_texts = evaluation_texts(tweets.texts("val"), NUM_VAL_TEXTS, seed=0)
    if name == RECIPE:
        seconds = read_meta(find_run("lstm_seed*", "lstm_lm", data=data))["duration_seconds"]
        sizes, settings = RECIPE_SIZES, recipe_settings(seconds, train_texts, val_texts)
    else:
        meta = read_meta(find_run("lstm_lm", data=data))
        sizes, settings = sizes_of(meta), replace(settings_of(meta), seed=SEEDS[name])
    checkpoint_dir = Path(f"models/.checkpoints-{name}")
    tokenizer, model, result = train_lstm(train_texts, val_texts, sizes, settings, checkpoint_dir)
    summary = evaluate(ModelSystem(name, model, tokenizer), val_texts[:NUM_PAIRS]).summary(seed=0)
    metrics = {**as_record(summary), "val_loss": result.best_val_loss, "pairs": NUM_PAIRS}
    new_meta = run_metadata(name, asdict(settings), data, metrics, result.duration)
    with new_run(name) as run_dir:
        save_lstm_lm(run_dir, model, tokenizer, new_meta, result.history)
    shutil.rmtree(checkpoint_dir)


if __name__ == "__main__":
    for name in sys.argv[1:] or (*SEEDS, RECIPE):
        train_beside(name)
