"""What is chosen on validation tweets: decoding, where suggestions end, order and weight of n-grams, calibration."""

import math
import time
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd
import torch
from torch.utils.data import DataLoader
from tqdm import tqdm
from transformers import PreTrainedModel

from src.completion.completer import best_answers
from src.completion.decoding import GREEDY, WORDS, Decoding
from src.data_utils import PreparedTweets
from src.evaluation.evaluate import evaluation_texts
from src.evaluation.intervals import UNDEFINED, as_record, estimate
from src.evaluation.leakage import near_duplicates
from src.evaluation.metrics import answer_scores, score_ratios
from src.evaluation.systems import ModelSystem, as_pairs
from src.evaluation.typing import NUM_SUGGESTIONS, SuggestionRecord, record_suggestions, type_texts, typing_ratios
from src.models.interpolation import InterpolatedLM, interpolated
from src.models.kneser_ney import KneserNeyLM
from src.next_token_dataset import NextTokenDataset, collate_batch
from src.text.calibration import IDENTITY, Calibration, logit, sigmoid
from src.text.prefixes import TweetCompleter
from src.training.loss import dataset_nll, target_nll

# Enough for stable choices and validation losses, few enough to score at every evaluation.
NUM_VAL_TWEETS = 5_000
# 5% more than are needed are drawn, because in large corpora 1 to 2% match a training tweet.
DRAWN_SHARE = 1.05
# The candidates are the same for every model, the simplest first.
DECODINGS = (
    GREEDY,
    WORDS,
    Decoding("beam", num_beams=4),
    Decoding("nucleus", num_samples=1, temperature=1.0, top_p=0.9),
    Decoding("mbr", num_samples=16, temperature=0.6),
)
# Prefixes on which the latency of a decoding is measured, and the highest latency that is allowed, in seconds.
NUM_TRIED = 16
MAX_SECONDS = 0.5
DECODING_SCORES = ("keystroke_savings", "rouge1", "exact_match")
# Values of `Decoding.min_probability`, and how many keys, as a share of all, a choice among them may lose for
# suggestions that come sooner and are shorter to read.
MIN_PROBABILITIES = (0.0, 0.05, 0.1, 0.3, 1.0)
MAX_LOSS = 0.0025
WEIGHTS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
# Fewer suggestions say too little about how sure a model should be.
MIN_SUGGESTIONS = 50
MAX_NEWTON_STEPS = 100
# Suggestions at neighbouring letters are much alike, so they say less than as many independent ones would. A precise
# prior makes up for that.
PRIOR_PRECISION = 100.0


def sample_size(most: int, share: float, num_texts: int, at_least: int = 100) -> int:
    """The number of texts to score: `most`, or of a small corpus a share, but not fewer than `at_least`.

    Args:
        most: the largest number.
        share: share of the texts, above 0.
        num_texts: number of texts that there are; the result may be larger if `at_least` is.
    """
    return min(most, max(at_least, int(share * num_texts)))


def validation_texts(tweets: PreparedTweets, seed: int, num_tweets: int = NUM_VAL_TWEETS) -> list[str]:
    """Draw the validation tweets on which everything is chosen.

    They have at least four words, and none of them closely matches a training tweet (`near_duplicates`). If there are
    fewer than `num_tweets`, all are drawn.

    Raises:
        ValueError: no validation tweet is left.
    """
    val_texts, train_texts = tweets.texts("val"), tweets.texts("train")
    shuffled, chosen, start = evaluation_texts(val_texts, len(val_texts), seed), [], 0
    while len(chosen) < num_tweets and start < len(shuffled):
        drawn = shuffled[start : start + math.ceil(DRAWN_SHARE * (num_tweets - len(chosen)))]
        chosen += [text for text, is_near in zip(drawn, near_duplicates(drawn, train_texts)) if not is_near]
        start += len(drawn)
    if not chosen:
        raise ValueError(f"all {len(shuffled)} validation tweets closely match a training tweet: use another corpus")
    return chosen[:num_tweets]


def decoding_evaluations(
    system: ModelSystem, decodings: Sequence[Decoding], texts: Sequence[str], max_seconds: float, seed: int
) -> pd.DataFrame:
    """Measure the quality and the latency of each decoding of a model.

    Args:
        system: the model; its own decoding is not used.
        decodings: what to measure.
        texts: cleaned texts of at least two words.
        max_seconds: a decoding with a higher latency is not scored, to save time.
        seed: seed of the bootstrap.

    Returns:
        one row per decoding, in the given order. Columns: `decoding`; `keystroke_savings`, `rouge1` and
        `exact_match` of its answers as `Estimate`s, undefined if it was not scored; `seconds`, its median latency for
        one of the first `NUM_TRIED` prefixes alone.
    """
    pairs = as_pairs(texts)
    contexts, targets = [pair.context for pair in pairs], [pair.target for pair in pairs]
    best_answers(system.model, system.tokenizer, contexts[:1], decodings[0])  # the first call is slower
    rows = []
    for decoding in tqdm(decodings, "decoding", leave=False):
        seconds = _median_seconds(system, contexts[:NUM_TRIED], decoding)
        scores = dict.fromkeys(DECODING_SCORES, UNDEFINED)
        if seconds <= max_seconds:
            answers = best_answers(system.model, system.tokenizer, contexts, decoding)
            ratios = score_ratios(answer_scores(answers, targets))
            scores = {name: estimate(ratios[name], seed) for name in DECODING_SCORES}
        rows.append({"decoding": decoding, **scores, "seconds": seconds})
    return pd.DataFrame(rows)


def _median_seconds(system: ModelSystem, contexts: Sequence[str], decoding: Decoding) -> float:
    seconds = []
    for context in contexts:
        started = time.perf_counter()
        best_answers(system.model, system.tokenizer, [context], decoding)
        seconds.append(time.perf_counter() - started)
    return float(np.median(seconds))


def choose_decoding(table: pd.DataFrame, max_seconds: float) -> Decoding:
    """Choose the decoding that saves most keys within a limit of latency.

    What counts are the keys that one complete answer saves if one key takes its right first words
    (`src.evaluation.metrics.saved_keystrokes`). Of equally good decodings, the first in the table is chosen, and
    also the first if none is fast enough: it is the simplest, and the fastest may be so by chance.

    Args:
        table: the table of `decoding_evaluations`.
        max_seconds: seconds for one prefix alone.
    """
    saved = table["keystroke_savings"].map(lambda score: score.value).where(table["seconds"] <= max_seconds)
    return table["decoding"].iloc[saved.fillna(-1).argmax()]


def decoding_record(table: pd.DataFrame) -> dict[str, dict]:
    """The table of `decoding_evaluations` in JSON types, by the decoding's text; `n` of a score is its pairs."""
    return {
        str(row["decoding"]): {**as_record({name: row[name] for name in DECODING_SCORES}), "seconds": row["seconds"]}
        for row in table.to_dict("records")
    }


def choose_min_probability(records: Mapping[float, SuggestionRecord], n: int = 3) -> float:
    """Choose where suggestions end: where more words would save no more keys, since each must be computed and read.

    Args:
        records: what was suggested with each value of `Decoding.min_probability` while the same texts were typed.
        n: number of suggestions.

    Returns:
        the largest value that saves as many keys as the best one, less `MAX_LOSS`, if a key takes a phrase.
    """
    saved = {
        value: typing_ratios(type_texts(record, "phrase", n))["keys_saved"].value for value, record in records.items()
    }
    return max(value for value, share in saved.items() if share >= max(saved.values()) - MAX_LOSS)


def choose_order(
    train_dataset: NextTokenDataset,
    val_dataset: NextTokenDataset,
    vocab_size: int,
    pad_token_id: int,
    eos_token_id: int,
    orders: Sequence[int] = (2, 3, 4, 5),
    batch_size: int = 64,
) -> tuple[KneserNeyLM, pd.DataFrame]:
    """Choose the order of a Kneser-Ney model by its loss on the validation targets.

    Returns:
        the model with the lowest loss, and a table with columns `order`, `ngrams` (their number, all
        lengths together) and `val_nll` (nats per target token).
    """
    models, rows = [], []
    for order in orders:
        model = KneserNeyLM.from_dataset(train_dataset, vocab_size, pad_token_id, eos_token_id, order)
        nll, num_targets = dataset_nll(model, val_dataset, batch_size, pad_token_id)
        models.append(model)
        rows.append({"order": order, "ngrams": sum(model.config.num_ngrams), "val_nll": nll.sum() / num_targets.sum()})
    table = pd.DataFrame(rows)
    return models[table["val_nll"].argmin()], table


@torch.no_grad()
def choose_weight(
    neural: PreTrainedModel,
    ngram: KneserNeyLM,
    dataset: NextTokenDataset,
    pad_id: int,
    weights: Sequence[float] = WEIGHTS,
    batch_size: int = 64,
) -> tuple[InterpolatedLM, pd.DataFrame]:
    """Choose the weight of the n-gram model in an `InterpolatedLM` by its loss on the validation targets.

    Returns:
        the model with the lowest loss, and a table with columns `weight` and `val_nll` (nats per target token).
    """
    loader = DataLoader(dataset, batch_size, collate_fn=partial(collate_batch, pad_id=pad_id))
    totals, num_targets = np.zeros(len(weights)), 0
    for batch in loader:
        log_p, ngram_log_p = (-target_nll(model, batch)[0].cpu() for model in (neural, ngram))
        totals -= [float(interpolated(log_p, ngram_log_p, weight).sum()) for weight in weights]
        num_targets += len(log_p)
    table = pd.DataFrame({"weight": weights, "val_nll": totals / num_targets})
    return InterpolatedLM(neural, ngram, weights[int(totals.argmin())]), table


def choose_calibration(completer: TweetCompleter, texts: Sequence[str]) -> tuple[Calibration, SuggestionRecord]:
    """Calibrate a completer: type every other text, and fit the probabilities of what it suggests.

    Args:
        completer: it is not calibrated yet, and is asked as in `record_suggestions`.
        texts: at least two validation texts.

    Returns:
        the calibration, and the record of the other texts, on which to check it.

    Raises:
        ValueError: the completer computes no probabilities, or as from `record_suggestions`.
    """
    fitted, others = (record_suggestions(completer, half) for half in (texts[::2], texts[1::2]))
    n = max(NUM_SUGGESTIONS)
    return fit_calibration(fitted.shown_probabilities(n), fitted.shown_right(n), PRIOR_PRECISION), others


def fit_calibration(probabilities: np.ndarray, is_right: np.ndarray, prior_precision: float = 1.0) -> Calibration:
    """Fit slope and intercept by logistic regression on the log-odds, with Newton's method.

    A normal prior around the identity keeps both finite if every suggestion above some probability is right and none
    below it. A precise one keeps a fit to few tweets from making a calibrated model worse.

    Args:
        probabilities: float64 [suggestions], from 0 to 1.
        is_right: bool [suggestions].
        prior_precision: inverse variance of the prior, above 0.

    Returns:
        the calibration. It is the identity if there are fewer than `MIN_SUGGESTIONS`, if all or none are right, or if
        surer suggestions are right less often, so that the slope would not be above 0.

    Raises:
        ValueError: a suggestion has no probability.
    """
    if np.isnan(probabilities).any():
        raise ValueError("these suggestions have no probabilities: there is nothing to calibrate")
    if len(probabilities) < MIN_SUGGESTIONS or is_right.all() or not is_right.any():
        return IDENTITY
    features = np.stack([logit(probabilities), np.ones(len(probabilities))], axis=1)
    prior = np.array([IDENTITY.slope, IDENTITY.intercept])

    def loss(values: np.ndarray) -> float:
        logits = features @ values
        penalty = prior_precision * ((values - prior) ** 2).sum() / 2
        return np.logaddexp(0, logits).sum() - logits[is_right].sum() + penalty

    values = prior
    for _ in range(MAX_NEWTON_STEPS):
        fitted = sigmoid(features @ values)
        gradient = features.T @ (fitted - is_right) + prior_precision * (values - prior)
        hessian = (features.T * (fitted * (1 - fitted))) @ features + prior_precision * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        # Far from the solution a full step may lead away from it.
        while loss(values - step) > loss(values):
            step = step / 2
        values = values - step
        if abs(step).max() < 1e-9:
            break
    slope, intercept = values.tolist()
    return Calibration(slope, intercept) if slope > 0 else IDENTITY
