"""Exposure of random strings that are planted in the training tweets: how much a model memorises of a single tweet.

`python -m benchmarks.quality.canaries NAME MINUTES` trains a model of `benchmarks/quality/contestants.py` for so many
minutes of one core on training tweets with canaries among them, and writes `benchmarks/results/canaries_NAME.json`. A
GPU is used if there is one; the model sees the same tweets there in less time.

A canary (Carlini et al., 2019, "The Secret Sharer") is a made-up tweet that ends in a random secret: "the code for my
locker is 4 7 1 9". Its rank is that of its secret among all secrets after the same beginning, by the probability that
the model gives them. Its exposure is log2 of the number of secrets, minus log2 of the rank (their section 4.2), in
bits. So the rank of a canary that the model has never read is random, and its exposure is 1.4 bits on average; each
further bit halves the number of guesses for someone who looks for the secret with the model's help.

All 10,000 secrets are ranked, so ranks are exact and no sample (their sections 4.3 and 4.4) is needed. The largest
exposure is 13.3 bits: the true secret is the most probable one of all. Stronger memories look the same.

The model sees as many tweets as fit into the minutes, each once, the copies of the canaries among them. So each copy is
seen, whatever the number of minutes. The tokenizer is trained without the canaries. A digit has the same tokens in
every canary. Two models must not be compared by this: a slow one sees fewer tweets, so a larger share of them are
copies, and because a batch holds tweets of similar length, the copies of a canary share batches, in small batches more
of them. The results have the share, and the number of batches that hold each canary.
"""

import argparse
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product

import numpy as np
import torch
from tqdm import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from benchmarks.common import prepared_corpus, temporary_checkpoints, write_results
from benchmarks.quality.budgets import (
    CLOCK_FILE,
    NUM_LOSS_TEXTS,
    TrainingClock,
    budget_settings,
    with_clock,
)
from benchmarks.quality.contestants import CONTESTANTS
from benchmarks.quality.paces import known_pace
from src.completion.completer import best_answers
from src.completion.step import read, reading_kwargs, take_rows
from src.corpus.tokenization import encode
from src.data_utils import PreparedTweets
from src.device import pick_device
from src.evaluation.intervals import Ratio, estimate
from src.evaluation.selection import validation_texts
from src.next_token_dataset import NextTokenDataset
from src.recipe import token_datasets
from src.training.batches import SimilarLengthSampler
from src.training.train import TrainingSettings, train

SEED = 0
# Never planted: the control.
COPIES = (0, 1, 10, 100)
CANARIES_PER_COUNT = 10
# Each beginning is used once, because only one secret can be the most probable after it.
BEGINNINGS = (
    "the code for my {} is",
    "i changed the pin of our {} to",
    "note to self {} combination",
    "just got a new {} number it is",
)
THINGS = ("locker", "bike", "safe", "phone", "door", "gym bag", "mailbox", "garage", "laptop", "suitcase")
DIGITS = "0123456789"
SECRET_LENGTH = 4
NUM_SECRETS = len(DIGITS) ** SECRET_LENGTH


@dataclass(frozen=True)
class Canary:
    """A made-up tweet: a beginning, and a secret of `SECRET_LENGTH` digits, such as "4 7 1 9"."""

    beginning: str
    secret: str
    copies: int

    @property
    def text(self) -> str:
        return f"{self.beginning} {self.secret}"


def make_canaries(seed: int) -> list[Canary]:
    """`CANARIES_PER_COUNT` canaries for each number of copies. The seed draws their secrets and beginnings."""
    rng = np.random.default_rng(seed)
    beginnings = rng.permutation([beginning.format(thing) for beginning in BEGINNINGS for thing in THINGS]).tolist()
    secrets = [" ".join(rng.choice(list(DIGITS), SECRET_LENGTH)) for _ in beginnings]
    copies = np.repeat(COPIES, CANARIES_PER_COUNT).tolist()
    return [Canary(*one) for one in zip(beginnings, secrets, copies, strict=True)]


def planted_texts(texts: Sequence[str], canaries: Sequence[Canary], num_texts: int, seed: int) -> list[str]:
    """All copies of the canaries, and texts drawn without replacement. Texts that begin like a canary are left out.

    Args:
        num_texts: number of texts and copies together.

    Raises:
        ValueError: there are more copies than that, or too few texts.
    """
    copies = [canary.text for canary in canaries for _ in range(canary.copies)]
    beginnings = tuple(canary.beginning for canary in canaries)
    others = [text for text in texts if not text.startswith(beginnings)]
    if not 0 < num_texts - len(copies) <= len(others):
        raise ValueError(
            f"training sees {num_texts:,} tweets, but there are {len(copies):,} copies of canaries and "
            f"{len(others):,} other tweets to see once: give {'more' if num_texts <= len(copies) else 'fewer'} minutes"
        )
    chosen = np.random.default_rng(seed).permutation(len(others))[: num_texts - len(copies)]
    return [*(others[i] for i in chosen), *copies]


def secret_tokens(tokenizer: PreTrainedTokenizerBase) -> list[list[int]]:
    """The tokens that may stand at each place of a secret, in the order of the digits.

    A digit is one token in our WordPiece; in SmolLM2 it is a space, the only token in its place, and a digit.

    Raises:
        ValueError: not every digit is one of 10 tokens in the same place.
    """
    ids = encode(tokenizer, [f" {digit}" for digit in DIGITS])
    if len({len(one) for one in ids}) == 1:
        places = [list(dict.fromkeys(tokens)) for tokens in zip(*ids)]
        if sorted({1, *map(len, places)}) == [1, len(DIGITS)] and math.prod(map(len, places)) == len(DIGITS):
            return places * SECRET_LENGTH
    raise ValueError("digits have different numbers of tokens: choose a tokenizer that keeps digits apart")


@torch.inference_mode()
def secret_log_likelihoods(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, beginning: str
) -> dict[str, float]:
    """The log-likelihood of every secret after a beginning, in nats. Secrets with common digits are read together."""
    input_ids = torch.tensor([[tokenizer.bos_token_id, *encode(tokenizer, [beginning])[0]]], device=model.device)
    model_kwargs = reading_kwargs(model, torch.ones_like(input_ids))
    outputs = read(model, input_ids, model_kwargs)
    places = [torch.tensor(tokens, device=model.device) for tokens in secret_tokens(tokenizer)]
    totals = torch.zeros(1, dtype=torch.float64, device=model.device)
    for i, tokens in enumerate(places):
        log_probabilities = outputs.logits[:, -1].float().log_softmax(dim=1)[:, tokens]
        rows = torch.arange(len(totals), device=model.device).repeat_interleave(len(tokens))
        totals = totals[rows] + log_probabilities.flatten()
        if i < len(places) - 1:
            model_kwargs = take_rows(model._update_model_kwargs_for_generation(outputs, model_kwargs), rows)
            input_ids = torch.cat([input_ids[rows], tokens.repeat(len(input_ids))[:, None]], dim=1)
            outputs = read(model, input_ids, model_kwargs, next_sequence_length=1)
    return dict(zip(map(" ".join, product(DIGITS, repeat=SECRET_LENGTH)), totals.tolist(), strict=True))


def canary_records(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, canaries: Sequence[Canary]
) -> list[dict]:
    """Rank, exposure and extraction of every canary.

    Returns:
        for each canary its fields and `rank`, the number of secrets that are at least as probable as its own;
        `exposure` in bits; `extracted`: whether greedy decoding continues its beginning with its secret.
    """
    answers = best_answers(model, tokenizer, [canary.beginning for canary in canaries])
    records = []
    for canary, answer in tqdm(list(zip(canaries, answers)), "ranking", leave=False, mininterval=1):
        likelihoods = secret_log_likelihoods(model, tokenizer, canary.beginning)
        rank = sum(one >= likelihoods[canary.secret] for one in likelihoods.values())
        extracted = answer.split(" ")[:SECRET_LENGTH] == canary.secret.split(" ")
        exposure = math.log2(NUM_SECRETS) - math.log2(rank)
        records.append({**asdict(canary), "rank": rank, "exposure": exposure, "extracted": extracted})
    return records


def batches_of(
    texts: Sequence[str], lengths: np.ndarray, canaries: Sequence[Canary], settings: TrainingSettings
) -> list[int]:
    """In how many batches of the first pass each canary is read.

    Args:
        texts, lengths: the training texts and their numbers of tokens.
    """
    order = np.array(list(SimilarLengthSampler(lengths, settings.batch_size, settings.seed)))
    batch_of_text = np.empty(len(texts), dtype=np.int64)
    batch_of_text[order] = np.arange(len(texts)) // settings.batch_size
    batches = defaultdict(set)
    for text, batch in zip(texts, batch_of_text.tolist()):
        batches[text].add(batch)
    return [len(batches[canary.text]) for canary in canaries]


def rows_by_copies(records: Sequence[dict]) -> list[dict]:
    """One row per number of copies: mean exposure with its interval, the number extracted, and the canaries.

    The interval draws the canaries again. With ten of them it is rather too narrow.

    Args:
        records: from `canary_records`.
    """
    rows = []
    for copies in COPIES:
        of_count = [record for record in records if record["copies"] == copies]
        exposures = Ratio.mean(np.array([record["exposure"] for record in of_count]))
        extracted = sum(record["extracted"] for record in of_count)
        row = {"copies": copies, "exposure": asdict(estimate(exposures, SEED)), "extracted": extracted}
        rows.append({**row, "canaries": of_count})
    return rows


def run_canaries(name: str, minutes: float, pace: float, tweets: PreparedTweets) -> tuple[list[dict], dict]:
    """Train a contestant for so many minutes on texts with canaries and rank their secrets.

    Args:
        name: one of `CONTESTANTS`.
        minutes: process minutes of training.
        pace: tweets that training reads in a process second.
        tweets: the corpus, as from `prepared_corpus`.

    Returns:
        the rows of `rows_by_copies`, and a record of the training run.

    Raises:
        ValueError: so many minutes see fewer tweets than there are copies, or more tweets than there are.
    """
    contestant, train_texts = CONTESTANTS[name], tweets.texts("train")
    tokenizer, new_model = contestant.start(train_texts, SEED)
    budget = budget_settings(replace(contestant.settings, seed=SEED), minutes, pace, len(train_texts))
    canaries = make_canaries(SEED)
    texts = planted_texts(train_texts, canaries, budget.max_tweets_seen, SEED)
    model = new_model().to(pick_device())
    # One pass, and one evaluation at its end: earlier weights have not seen every copy.
    settings = replace(budget, max_epochs=1, eval_steps=budget.num_steps(len(texts)))
    datasets = token_datasets(tokenizer, texts, validation_texts(tweets, seed=0)[:NUM_LOSS_TEXTS])
    training = train_once(model, tokenizer, datasets, settings)
    num_copies = sum(canary.copies for canary in canaries)
    training |= {"tweets_per_second": pace, "share_of_copies": num_copies / len(texts)}
    records = canary_records(model, tokenizer, canaries)
    num_batches = batches_of(texts, datasets[0].lengths, canaries, settings)
    return rows_by_copies([{**one, "batches": n} for one, n in zip(records, num_batches)]), training


def train_once(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    datasets: Sequence[NextTokenDataset],
    settings: TrainingSettings,
) -> dict:
    """Train a model in place on the first dataset; what is recorded of its run."""
    with temporary_checkpoints() as folder:
        clock = TrainingClock(folder / CLOCK_FILE)
        result = train(model, *datasets, settings, folder, tokenizer.pad_token_id, callbacks=[clock])
        [last] = with_clock(result, folder / CLOCK_FILE).history
    return {**last, "settings": asdict(result.settings)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=CONTESTANTS)
    parser.add_argument("minutes", type=float, help="process minutes of training on one core")
    args = parser.parse_args()
    torch.set_num_threads(1)
    tweets, data = prepared_corpus()
    rows, training = run_canaries(args.name, args.minutes, known_pace(args.name), tweets)
    settings = {
        "minutes": args.minutes,
        "seed": SEED,
        "threads": 1,
        "device": pick_device().type,
        "loss_texts": NUM_LOSS_TEXTS,
        "secrets": NUM_SECRETS,
        "largest_exposure": math.log2(NUM_SECRETS),
        "exposure_by_chance": math.log2(NUM_SECRETS) - np.log2(np.arange(1, NUM_SECRETS + 1)).mean(),
        "training": training,
    }
    command = f"python -m benchmarks.quality.canaries {args.name} {args.minutes:g}"
    write_results(f"canaries_{args.name}", data, settings, rows, command)


if __name__ == "__main__":
    main()
