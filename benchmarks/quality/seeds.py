"""The LSTM of the newest run with other seeds, and the plain recipe as its baseline, as run folders.

`make seeds` trains `lstm_seed1`, `lstm_seed2` and `lstm_recipe` in `models/`: the seeds for as many steps as the newest
`lstm_lm` run, the recipe for as many seconds as the last seed took. `compare.ipynb` adds the folders that it finds to
its tables. To train only one of them: `python -m benchmarks.quality.seeds lstm_recipe`.

The plain recipe: 256/512, one layer, 30,522 tokens (the size of BERT's vocabulary), the loss on targets alone, AdamW
with 2e-3, no dropout, float32.
"""

import argparse
import shutil
from dataclasses import fields, replace
from pathlib import Path

from benchmarks.common import prepared_corpus, temporary_checkpoints
from src.adaptation import first_run_of, without_read_tweets
from src.completion.decoding import GREEDY
from src.evaluation.selection import validation_texts
from src.evaluation.systems import ModelSystem
from src.lstm_model import LSTMConfig
from src.recipe import adapt_lstm, save_run, train_lstm
from src.runs import find_run, read_meta
from src.training.train import TrainingSettings

SEEDS = {"lstm_seed1": 1, "lstm_seed2": 2}
RECIPE = "lstm_recipe"
RECIPE_CONFIG = LSTMConfig(vocab_size=30_522, hidden_dim=512, dropout=0.0)
RECIPE_SETTINGS = TrainingSettings(
    learning_rate=2e-3,
    muon_learning_rate=0.0,
    batch_size=128,
    max_epochs=100,
    all_tokens_share=0.0,
    num_sampled_tokens=0,
    bf16=False,
)
REHEARSAL_TWEETS = 12_800


def settings_of(meta: dict) -> TrainingSettings:
    """The training settings that a run recorded."""
    names = {field.name for field in fields(TrainingSettings)}
    return TrainingSettings(**{name: value for name, value in meta["settings"].items() if name in names})


def recipe_settings(seconds: float, train_texts: list[str], val_texts: list[str]) -> TrainingSettings:
    """The settings of the plain recipe for a run of so many seconds, estimated from a short rehearsal."""
    rehearsal = replace(RECIPE_SETTINGS, max_tweets_seen=REHEARSAL_TWEETS, eval_steps=REHEARSAL_TWEETS)
    with temporary_checkpoints() as folder:
        _, _, result = train_lstm(train_texts, val_texts[:100], RECIPE_CONFIG, rehearsal, folder)
    return replace(RECIPE_SETTINGS, max_tweets_seen=int(REHEARSAL_TWEETS * seconds / result.duration))


def train_and_save(name: str) -> None:
    """Train one of the models and save it with its scores on validation pairs."""
    tweets, data = prepared_corpus()
    run_dir = find_run("lstm_lm", data=data)
    tweets = without_read_tweets(tweets, run_dir)
    train_texts, val_texts = tweets.texts("train"), validation_texts(tweets, seed=0)
    checkpoint_dir, meta = Path(f"models/.checkpoints-{name}"), read_meta(run_dir)
    # In a comparison every LSTM answers with the decoding that was chosen for the first one.
    options = {"decodings": (GREEDY,), "train_texts": train_texts}
    if name == RECIPE:
        seconds = read_meta(find_run("lstm_seed*", "lstm_lm", data=data))["duration_seconds"]
        settings = recipe_settings(seconds, train_texts, val_texts)
        trained = train_lstm(train_texts, val_texts, RECIPE_CONFIG, settings, checkpoint_dir)
    elif (first_run := first_run_of(run_dir)) is not None:
        settings, dropout = replace(settings_of(meta), seed=SEEDS[name]), meta["model"]["dropout"]
        *trained, share = adapt_lstm(first_run, train_texts, val_texts, settings, dropout, checkpoint_dir)
        options |= {"first_run": first_run, "trained_share": share}
    else:
        config, settings = LSTMConfig.from_dict(meta["model"]), replace(settings_of(meta), seed=SEEDS[name])
        trained = train_lstm(train_texts, val_texts, config, settings, checkpoint_dir)
    tokenizer, model, result = trained
    save_run(ModelSystem(name, model, tokenizer), result, val_texts, data, **options)
    shutil.rmtree(checkpoint_dir)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*SEEDS, RECIPE, []], metavar="NAME", help="default: all three")
    for name in parser.parse_args().names or (*SEEDS, RECIPE):
        train_and_save(name)


if __name__ == "__main__":
    main()
