"""Train a model with a process for each GPU: `accelerate launch -m vm.train solution_lstm [NAME=VALUE ...]`.

The parameters are those of the notebook of that name in `vm/`; the batches are those of all processes together.
It leaves the run folder that the notebook would leave, from the first process alone. Interrupted, the same command
goes on where it was cut off.
"""

import argparse
import ast
import os
import shutil
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import SimpleNamespace

import nbformat
import torch
import transformers
from accelerate import PartialState
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from src.corpus.load import load_corpus
from src.corpus.tokenization import train_tokenizer
from src.data_utils import PreparedTweets, corpus_record, prepare_tweets
from src.device import has_fast_bf16, pick_device
from src.evaluation.evaluate import evaluate, evaluation_texts
from src.evaluation.intervals import as_record
from src.evaluation.selection import DECODINGS, choose_decoding, decoding_evaluations
from src.evaluation.systems import ModelSystem
from src.lstm_model import LSTMLM, LSTMConfig, save_lstm_lm
from src.models.pretrained import load_pretrained, save_pretrained_lm
from src.next_token_dataset import NextTokenDataset
from src.runs import new_run, run_metadata
from src.training.train import TrainingSettings, train
from vm.run_notebooks import check_parameters

VM = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Start:
    """A model as its training finds it."""

    name: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    train_texts: list[str]
    num_val_texts: int
    settings: TrainingSettings


def parameters(notebook: str, changes: list[str]) -> SimpleNamespace:
    """The parameters of a notebook, some of them changed by `NAME=VALUE`.

    Raises:
        ValueError: the notebook has no such parameter, or the value is no Python literal.
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
            raise ValueError(f"{change}: {literal!r} is no Python literal; put a text in quotes") from None
    return SimpleNamespace(**values)


def training_settings(values: SimpleNamespace, **others) -> TrainingSettings:
    """Those of a notebook's parameters that are settings of a training."""
    names = {field.name for field in fields(TrainingSettings)}
    return TrainingSettings(**{name: value for name, value in vars(values).items() if name in names} | others)


def start_lstm(values: SimpleNamespace, tweets: PreparedTweets) -> Start:
    train_texts = tweets.texts("train", values.max_tweets_seen)
    tokenizer = train_tokenizer(train_texts, values.vocab_size)
    transformers.set_seed(values.seed)
    config = LSTMConfig(
        vocab_size=len(tokenizer),
        embedding_dim=values.embedding_dim,
        hidden_dim=values.hidden_dim,
        num_layers=values.num_layers,
        dropout=values.dropout,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    bf16 = has_fast_bf16(pick_device()) if values.bf16 is None else values.bf16
    return Start("lstm_lm", LSTMLM(config), tokenizer, train_texts, 5_000, training_settings(values, bf16=bf16))


def start_transformer(values: SimpleNamespace, tweets: PreparedTweets) -> Start:
    lm = load_pretrained(values.model_name, values.data_dir)
    limit = min(values.finetune_tweets, int(values.finetune_share * tweets.counts["train"]))
    train_texts = tweets.texts("train", limit)
    settings = training_settings(values, max_epochs=1, max_tweets_seen=len(train_texts))
    return Start(lm.name, lm.model, lm.tokenizer, train_texts, values.val_loss_tweets, settings)


STARTS = {"solution_lstm": start_lstm, "solution_pretrained": start_transformer}


def save(start: Start, result, values: SimpleNamespace, val_texts: list[str], data: dict) -> None:
    """What the notebooks do behind their training: choose the decoding, score on validation pairs, save."""
    system = ModelSystem(start.name, start.model, start.tokenizer)
    table = decoding_evaluations(system, DECODINGS, val_texts[: values.decoding_pairs], values.seed)
    decoding = choose_decoding(table, values.max_seconds)
    pair_texts = val_texts[: values.max_pairs]
    system = ModelSystem(start.name, start.model, start.tokenizer, decoding)
    metrics = {
        **as_record(evaluate(system, pair_texts).summary(values.seed)),
        "val_loss": result.best_val_loss,
        "pairs": len(pair_texts),
    }
    settings = {**asdict(start.settings), "decoding": asdict(decoding)}
    meta = run_metadata(start.name, settings, data, metrics, result.duration)
    save_model = save_lstm_lm if start.name == "lstm_lm" else save_pretrained_lm
    with new_run(start.name, values.models_dir) as run_dir:
        save_model(run_dir, start.model, start.tokenizer, meta, result.history)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("notebook", choices=STARTS)
    parser.add_argument("changes", nargs="*", metavar="NAME=VALUE")
    arguments = parser.parse_args()
    values = parameters(arguments.notebook, arguments.changes)
    # The notebooks' folders are relative to theirs.
    os.chdir(VM)
    processes = PartialState(cpu=not torch.cuda.is_available())
    # One after the other where they may download.
    with processes.main_process_first():
        corpus = load_corpus(values.corpus_path, values.data_dir)
        tweets = prepare_tweets(corpus, values.seed, values.split_by)
        start = STARTS[arguments.notebook](values, tweets)
    val_texts = evaluation_texts(tweets.texts("val"), max_texts=5_000, seed=values.seed)
    datasets = [
        NextTokenDataset(texts, start.tokenizer, start.tokenizer.eos_token_id, context_unit="words")
        for texts in (start.train_texts, val_texts[: start.num_val_texts])
    ]
    checkpoint_dir = Path(values.models_dir) / f".checkpoints-{start.name}"
    start.model.to(processes.device)
    result = train(start.model, *datasets, start.settings, checkpoint_dir, start.tokenizer.pad_token_id, values.resume)
    if processes.is_main_process:
        save(start, result, values, val_texts, corpus_record(corpus, tweets))
        shutil.rmtree(checkpoint_dir)
    processes.destroy_process_group()


if __name__ == "__main__":
    main()
