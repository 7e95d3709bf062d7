"""Start an LSTM from a trained run instead of random weights, and test it on no tweet that this run has read."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from hashlib import file_digest
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from transformers import PreTrainedTokenizerBase

from src.corpus.splits import SPLITS
from src.data_utils import PreparedTweets
from src.deploy.device import DEVICE_DIR
from src.evaluation.seen_texts import SeenTexts, load_seen_texts
from src.lstm_model import LSTMLM, load_lstm_lm
from src.next_token_dataset import NextTokenDataset
from src.runs import RunError, named_run, read_meta
from src.training.loss import dataset_nll
from src.training.train import TrainingSettings

COMMITTED_RUN = Path(__file__).resolve().parents[1] / "models" / "lstm_lm-20261127-102352"
# For a few thousand tweets. Chosen on validation tweets, see benchmarks/RESULTS.md.
ADAPTATION = TrainingSettings(
    learning_rate=2e-3, muon_learning_rate=0.0, batch_size=32, max_epochs=8, max_tweets_seen=100_000
)
ADAPTATION_DROPOUT = 0.3
TRAINED_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
EVAL_BATCH_SIZE = 128
# Extrapolated from 1,000 to 31,179 tweets, where random weights are still worse: see benchmarks/RESULTS.md.
MIN_TWEETS_FROM_SCRATCH = 100_000
# Short tweets such as "good morning" are in every corpus, and a Bloom filter errs on 1 text in 100.
MAX_SEEN_SHARE, MAX_SEEN = 0.05, 2
SPLIT_NAMES = {"test": "test", "val": "validation"}


class LeakageError(ValueError):
    """The run to start from has read the test tweets; the message says how many, and what to do if the caller knows."""


@dataclass(frozen=True)
class FirstRun:
    """Where the training of an LSTM starts.

    Attributes:
        folder: folder of the run whose weights and tokenizer are taken; None: random weights.
        reason: what was chosen and why, in one or two sentences.
        tweets: the tweets, without those validation and test tweets that the run has read.
    """

    folder: Path | None
    reason: str
    tweets: PreparedTweets


def choose_first_run(
    init_from: str | Path | None, tweets: PreparedTweets, models_dir: str | Path = "models"
) -> FirstRun:
    """Decide where the training of an LSTM starts.

    Args:
        init_from: folder of an LSTM run, or its name in `models_dir`; "committed": the run that comes with the project;
            None: random weights; "auto": the committed run if there are fewer than `MIN_TWEETS_FROM_SCRATCH` training
            tweets and it has not read the test tweets, otherwise random weights.
        tweets: the tweets to train on.
        models_dir: folder of the run folders.

    Raises:
        LeakageError: as from `start_from`, for a run that `init_from` names.
        RunError: `init_from` is none of these, or the run that it names does not record what it has read.
    """
    num_train = tweets.counts["train"]
    if init_from is None:
        return FirstRun(None, "The LSTM starts from random weights, as `init_from` is None.", tweets)
    if init_from != "auto":
        try:
            return start_from(_named(init_from, models_dir), tweets, "as `init_from` says")
        except LeakageError as error:
            advice = "train on other tweets, or start from another run or from random weights (init_from=None)"
            raise LeakageError(f"{error}: {advice}") from None
    if num_train >= MIN_TWEETS_FROM_SCRATCH:
        return FirstRun(None, f"The LSTM starts from random weights: {num_train:,} training tweets are enough.", tweets)
    few = f"{num_train:,} training tweets are too few for random weights (fewer than {MIN_TWEETS_FROM_SCRATCH:,})"
    try:
        return start_from(COMMITTED_RUN, tweets, few)
    except (LeakageError, RunError) as error:
        return FirstRun(None, f"The LSTM starts from random weights, although {few}: {error}.", tweets)


def _named(init_from: str | Path, models_dir: str | Path) -> Path:
    possible = 'give "auto", "committed", None, or the folder of a run or its name'
    if not isinstance(init_from, str | Path) or init_from == "":
        raise RunError(f"init_from is {init_from!r}: {possible} in {models_dir}")
    if init_from == "committed":
        return COMMITTED_RUN
    try:
        return named_run(init_from, models_dir)
    except RunError as error:
        raise RunError(f'{error}, or "auto", "committed" or None') from None


def run_with_device(name: str | Path, models_dir: str | Path) -> Path:
    """The run to adapt for a device: "committed", or an LSTM run with the folder `device`, by its folder or its name.

    Raises:
        RunError: it is no run, lacks the folder `device`, or lies where `first_run_of` would not find it.
    """
    if name == "committed":
        return COMMITTED_RUN
    folder = named_run(name, models_dir)
    read_meta(folder)
    places = (Path(models_dir) / folder.resolve().name, COMMITTED_RUN)
    if not any(place.exists() and place.samefile(folder) for place in places):
        where = f"lie in the models folder ({models_dir}) or be the one of this project"
        raise RunError(f"{folder} can't be used: the run to start from must {where}")
    if not (folder / DEVICE_DIR).is_dir():
        advice = "run compare.ipynb, or src.recipe.build_device, for it first"
        raise RunError(f"{folder} has no folder {DEVICE_DIR}: {advice}")
    return folder


def start_from(folder: Path, tweets: PreparedTweets, reason: str) -> FirstRun:
    """Start from a run, with the tweets that it leaves for validation and test.

    Args:
        folder: folder of the run.
        tweets: the tweets to train on.
        reason: why this run was chosen, part of a sentence.

    Raises:
        LeakageError: the run has read all test or validation tweets, or more than a share of `MAX_SEEN_SHARE` and more
            than `MAX_SEEN` of them.
        RunError: the run does not record what it has read.
    """
    left, num_read = _without(tweets, load_seen_texts(folder))
    for split in ("test", "val"):
        num, num_left = tweets.counts[split], left.counts[split]
        if not num_left or num - num_left > max(MAX_SEEN, MAX_SEEN_SHARE * num):
            raise LeakageError(f"{folder.name} has read {num - num_left:,} of the {num:,} {SPLIT_NAMES[split]} tweets")
    reason = f"The LSTM starts from the trained run {folder.name}: {reason}. "
    reason += f"{num_read:,} validation and test tweets that this run has read are left out."
    return FirstRun(folder, reason, left)


def without_read_tweets(tweets: PreparedTweets, run_dir: str | Path) -> PreparedTweets:
    """The tweets without those validation and test tweets that were read before the training of a run started.

    If the run started from random weights, no tweet is left out.

    Raises:
        RunError: the run started from another one, and its record of texts is missing or damaged.
    """
    if read_meta(run_dir).get("init_from") is None:
        return tweets
    return _without(tweets, load_seen_texts(run_dir).before)[0]


def _without(tweets: PreparedTweets, seen: SeenTexts) -> tuple[PreparedTweets, int]:
    """Leave out the validation and test tweets among `seen`; also return their number."""
    table = tweets.table
    was_read = (table["split"] != "train").to_numpy(copy=True)
    was_read[was_read] = seen.contain(table.loc[was_read, "text"].tolist())
    left = table[~was_read].reset_index(drop=True)
    others = {name: count for name, count in tweets.counts.items() if name not in SPLITS}
    kept = {split: int((left["split"] == split).sum()) for split in SPLITS}
    num_read = int(was_read.sum())
    counts = {**others, "read_by_first_run": num_read, **kept}
    return replace(tweets, table=left, counts=counts), num_read


def starting_lstm(run_dir: str | Path, dropout: float) -> tuple[PreTrainedTokenizerBase, LSTMLM]:
    """Load the tokenizer and the LSTM of a run, to train it further on the CPU or elsewhere.

    Raises:
        RunError: as from `load_lstm_lm`.
    """
    tokenizer, trained, _, _ = load_lstm_lm(run_dir, device="cpu")
    config = deepcopy(trained.config)
    config.dropout = dropout
    # A new model, because the loaded one is laid out for completing, not for training.
    model = LSTMLM(config)
    model.load_state_dict(trained.state_dict())
    return tokenizer, model


@torch.no_grad()
def choose_trained_share(
    model: LSTMLM, first_run: str | Path, val_dataset: NextTokenDataset, pad_id: int
) -> tuple[float, pd.DataFrame]:
    """Average the weights of the first run and the trained ones, as is best on validation tweets.

    Training on few tweets also forgets. The average of both weights is often better than either, and never much worse
    than the first run (Wortsman et al., 2022, "Robust fine-tuning of zero-shot models").

    Args:
        model: the trained LSTM; it is left with the best average.
        first_run: folder of the run from which it started.
        val_dataset: the validation tweets.
        pad_id: pad id of the tokenizer.

    Returns:
        the share of the trained weights, one of `TRAINED_SHARES`, and a table: a row for each of them, with the
        `val_loss` in nats per target token.
    """
    trained = {name: weights.clone() for name, weights in model.state_dict().items()}
    first = starting_lstm(first_run, dropout=0.0)[1].to(model.device).state_dict()

    def take(share: float) -> None:
        model.load_state_dict({name: first[name].lerp(weights, share) for name, weights in trained.items()})

    losses = []
    for share in TRAINED_SHARES:
        take(share)
        nll, num_targets = dataset_nll(model, val_dataset, EVAL_BATCH_SIZE, pad_id)
        losses.append(float(nll.sum() / num_targets.sum()))
    best = TRAINED_SHARES[int(np.argmin(losses))]
    take(best)
    return best, pd.DataFrame({"share of the trained weights": TRAINED_SHARES, "val_loss": losses})


def first_run_record(run_dir: str | Path, trained_share: float) -> dict:
    """What `meta.json` of an adapted run records of the run from which it started.

    Returns:
        its name, the sha256 of its weights, and the result of `choose_trained_share`.
    """
    return {"run": Path(run_dir).resolve().name, "sha256": _checksum(run_dir), "trained_share": trained_share}


def _checksum(run_dir: str | Path) -> str:
    with (Path(run_dir) / "model.pt").open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def first_run_of(run_dir: str | Path) -> Path | None:
    """The folder of the run from which a run started; None if it started from random weights.

    Raises:
        RunError: the folder is neither beside the run nor the committed one, or holds other weights.
    """
    record = read_meta(run_dir).get("init_from")
    if record is None:
        return None
    folders = [folder / record["run"] for folder in (Path(run_dir).resolve().parent, COMMITTED_RUN.parent)]
    found = [folder for folder in folders if (folder / "model.pt").is_file()]
    for folder in found:
        if _checksum(folder) == record["sha256"]:
            return folder
    if found:
        raise RunError(f"{run_dir} started from {found[0]}, but its weights have changed: restore its model.pt")
    raise RunError(f"{run_dir} started from {record['run']}, which is not beside it: put that run folder back")


def seen_texts(texts: Sequence[str], first_run: str | Path | None = None) -> SeenTexts:
    """The record of the texts that a run has read; `save` writes it into the run folder.

    Args:
        texts: its training and validation texts.
        first_run: folder of the run from which it started.

    Raises:
        RunError: the record of the first run is missing or damaged.
    """
    return SeenTexts.of(texts, None if first_run is None else load_seen_texts(first_run))
