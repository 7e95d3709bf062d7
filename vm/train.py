"""Train a model with one process per GPU: `accelerate launch -m vm.train solution_lstm [NAME=VALUE ...]`.

The parameters are those of the notebook of that name in `vm/`; `batch_size` is the batch of all processes together.
The first process writes the run folder that the notebook would write. If the run is interrupted, give the same command
again: it resumes from the last evaluation.
"""

import argparse
import ast
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import nbformat
import torch
from accelerate import PartialState

from src.adaptation import FirstRun, choose_first_run, without_read_tweets
from src.corpus.load import load_corpus
from src.data_utils import PreparedTweets, corpus_record, prepare_tweets
from src.evaluation.selection import validation_texts
from src.evaluation.systems import ModelSystem
from src.lstm_model import LSTMConfig
from src.models.pretrained import load_pretrained
from src.recipe import adapt_lstm, save_run, token_datasets, train_lstm
from src.runs import find_runs
from src.training.dropout import default_dropout
from src.training.train import TrainingResult, TrainingSettings, train
from vm.run_notebooks import check_parameters

VM = Path(__file__).resolve().parent


def parameters(notebook: str, changes: list[str]) -> SimpleNamespace:
    """The parameters of a notebook, with the changes given as `NAME=VALUE`.

    Raises:
        ValueError: the notebook has no such parameter, or the value is not a Python literal.
        ParameterError: the notebook sets a parameter that it doesn't read.
    """
    check_parameters(VM / f"{notebook}.ipynb")
    cells = nbformat.read(VM / f"{notebook}.ipynb", as_version=4).cells
    [source] = [cell.source for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    values = {line.targets[0].id: ast.literal_eval(line.value) for line in ast.parse(source).body}
    for change in changes:
        name, _, literal = change.partition("=")
        if name not in values:
            raise ValueError(f"{notebook} has no parameter {name!r}: choose one of {', '.join(values)}")
        try:
            values[name] = ast.literal_eval(literal)
        except (ValueError, SyntaxError):
            raise ValueError(f"{change}: {literal!r} is not a Python literal; put text in quotes") from None
    return SimpleNamespace(**values)


def training_settings(values: SimpleNamespace, **others) -> TrainingSettings:
    """The training settings among a notebook's parameters; `others` take precedence."""
    names = {field.name for field in fields(TrainingSettings)}
    return TrainingSettings(**{name: value for name, value in vars(values).items() if name in names} | others)


def lstm_config(values: SimpleNamespace, num_texts: int) -> LSTMConfig:
    """The sizes of the LSTM among a notebook's parameters, and its dropout for so many training texts."""
    names = ("vocab_size", "embedding_dim", "hidden_dim", "num_layers")
    dropout = values.dropout
    if dropout is None:
        dropout = default_dropout(num_texts, values.max_epochs, values.max_tweets_seen)
    return LSTMConfig(**{name: getattr(values, name) for name in names}, dropout=dropout)


def finetuning_settings(values: SimpleNamespace, num_tweets: int) -> TrainingSettings:
    """The settings of `solution_pretrained.ipynb`: one pass, with the loss on every token."""
    one_pass = {"max_epochs": 1, "max_tweets_seen": num_tweets, "muon_learning_rate": 0.0}
    return training_settings(values, **one_pass, all_tokens_share=1.0, num_sampled_tokens=0)


def checkpoint_folder(values: SimpleNamespace, name: str) -> Path:
    return Path(values.models_dir) / f".checkpoints-{name}"


class Trained(NamedTuple):
    """A trained model, the result of its training run, and for an LSTM its training texts and as of `adapt_lstm`."""

    system: ModelSystem
    result: TrainingResult
    train_texts: Sequence[str] = ()
    trained_share: float = 1.0


def choose_start(notebook: str, values: SimpleNamespace, tweets: PreparedTweets, data: dict) -> FirstRun:
    """Where the LSTM starts; for the transformer only the tweets, without those read before the LSTM's training."""
    if notebook == "solution_lstm":
        return choose_first_run(values.init_from, tweets, values.models_dir)
    lstm_dirs = find_runs("lstm_lm", models_dir=values.models_dir, data=data)
    return FirstRun(None, "", without_read_tweets(tweets, lstm_dirs[0]) if lstm_dirs else tweets)


def train_the_lstm(values: SimpleNamespace, first_run: FirstRun, val_texts: list[str], device: torch.device) -> Trained:
    if values.quick:
        values.max_tweets_seen = min(values.max_tweets_seen, 100_000)
        values.adaptation = {**values.adaptation, "max_tweets_seen": 50_000}
    train_texts = first_run.tweets.texts("train", values.max_tweets_seen)
    settings, where = training_settings(values), (checkpoint_folder(values, "lstm_lm"), values.resume, device)
    share = 1.0
    if first_run.folder is None:
        config = lstm_config(values, len(train_texts))
        tokenizer, model, result = train_lstm(train_texts, val_texts, config, settings, *where)
    else:
        settings = replace(settings, **values.adaptation)
        texts = train_texts, val_texts
        tokenizer, model, result, share = adapt_lstm(
            first_run.folder, *texts, settings, values.adaptation_dropout, *where
        )
    return Trained(ModelSystem("lstm_lm", model, tokenizer), result, train_texts, share)


def fine_tune(values: SimpleNamespace, first_run: FirstRun, val_texts: list[str], device: torch.device) -> Trained:
    tweets = first_run.tweets
    if values.quick:
        values.finetune_share = min(values.finetune_share, 0.019)
    # The first process may download the model; the others find it on disk.
    with PartialState().main_process_first():
        lm = load_pretrained(values.model_name, values.data_dir)
    limit = min(values.finetune_tweets, int(values.finetune_share * tweets.counts["train"]))
    train_texts = tweets.texts("train", limit)
    datasets = token_datasets(lm.tokenizer, train_texts, val_texts[: values.val_loss_tweets])
    settings, folder = finetuning_settings(values, len(train_texts)), checkpoint_folder(values, lm.name)
    result = train(lm.model.to(device), *datasets, settings, folder, lm.tokenizer.pad_token_id, values.resume)
    return Trained(ModelSystem(lm.name, lm.model, lm.tokenizer), result)


TRAININGS: dict[str, Callable] = {"solution_lstm": train_the_lstm, "solution_pretrained": fine_tune}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("notebook", choices=TRAININGS)
    parser.add_argument("changes", nargs="*", metavar="NAME=VALUE")
    arguments = parser.parse_args()
    try:
        values = parameters(arguments.notebook, arguments.changes)
    except ValueError as error:
        parser.error(str(error))
    # The notebooks' folders are relative to theirs.
    os.chdir(VM)
    processes = PartialState(cpu=not torch.cuda.is_available())
    # The first process may download the corpus; the others find it on disk.
    with processes.main_process_first():
        corpus = load_corpus(values.corpus_path, values.data_dir, text_column=values.text_column)
        if values.quick:
            corpus = corpus.sample(80_000, values.seed)
        tweets = prepare_tweets(corpus, values.seed, values.split_by)
    first_run = choose_start(arguments.notebook, values, tweets, corpus_record(corpus, tweets))
    val_texts = validation_texts(first_run.tweets, values.seed, values.num_val_tweets)
    system, result, train_texts, share = TRAININGS[arguments.notebook](values, first_run, val_texts, processes.device)
    if processes.is_main_process:
        save_run(
            system,
            result,
            val_texts,
            corpus_record(corpus, first_run.tweets),
            values.models_dir,
            decoding_pairs=values.decoding_pairs,
            max_seconds=values.max_seconds,
            max_pairs=values.max_pairs,
            # The transformer's notebook types no tweets.
            typed_tweets=getattr(values, "typed_tweets", 0),
            seed=values.seed,
            train_texts=train_texts,
            first_run=first_run.folder,
            trained_share=share,
        )
        shutil.rmtree(checkpoint_folder(values, system.name))
    processes.destroy_process_group()


if __name__ == "__main__":
    main()
