"""Choices on validation tweets: the tweets themselves, and the decoding."""

from types import SimpleNamespace

import pandas as pd
import pytest

from src.completion.decoding import GREEDY, Decoding
from src.data_utils import PreparedTweets
from src.evaluation import selection
from src.evaluation.evaluate import evaluate, evaluation_texts
from src.evaluation.intervals import UNDEFINED, Estimate
from src.evaluation.leakage import near_duplicates
from src.evaluation.selection import (
    choose_decoding,
    decoding_evaluations,
    decoding_record,
    sample_size,
    validation_texts,
)
from src.evaluation.systems import ModelSystem
from src.files import json_text
from src.models.kneser_ney import KneserNeyLM
from src.recipe import token_datasets

# Validation tweets


def tweets_of(train: list[str], val: list[str]) -> PreparedTweets:
    table = pd.DataFrame({"text": [*train, *val], "split": ["train"] * len(train) + ["val"] * len(val)})
    return PreparedTweets(table, {}, seed=0, split_by="random")


def tweets_with_copies(made_up_tweets, num_copies: int) -> PreparedTweets:
    """300 training tweets, and 100 validation tweets of which some nearly are training tweets."""
    train, val = made_up_tweets[:300], made_up_tweets[300:]
    return tweets_of(train, [f"{text} now" for text in train if len(text.split()) > 8][:num_copies] + val[num_copies:])


@pytest.mark.parametrize(("num_copies", "num_tweets"), [(0, 40), (30, 40), (90, 5), (30, 70), (30, 1_000)])
def test_validation_texts_match_no_training_tweet_and_are_as_many_as_there_are(made_up_tweets, num_copies, num_tweets):
    tweets = tweets_with_copies(made_up_tweets, num_copies)
    texts = validation_texts(tweets, seed=1, num_tweets=num_tweets)
    assert not near_duplicates(texts, tweets.texts("train")).any()
    assert len(texts) == len(set(texts)) == min(num_tweets, 100 - num_copies)
    # Those of the plain draw, in its order, but for the copies.
    drawn = evaluation_texts(tweets.texts("val"), 100, seed=1)
    assert texts == [text for text in drawn if not text.endswith(" now")][:num_tweets]


def test_validation_texts_need_one_tweet_that_is_no_copy(made_up_tweets):
    train = made_up_tweets[:50]
    with pytest.raises(ValueError, match="all 50 validation tweets closely match a training tweet"):
        validation_texts(tweets_of(train, train), seed=0)


# Decodings


def test_decodings_are_scored_on_the_same_pairs(tokenizer, cleaned_texts):
    texts = evaluation_texts(cleaned_texts, 10, seed=0)
    decodings = [GREEDY, Decoding("beam", num_beams=3)]
    dataset, _ = token_datasets(tokenizer, cleaned_texts, cleaned_texts)
    model = KneserNeyLM.from_dataset(dataset, len(tokenizer), tokenizer.pad_token_id, tokenizer.eos_token_id, 3)
    system = ModelSystem("Kneser-Ney n-gram", model, tokenizer)
    table = decoding_evaluations(system, decodings, texts, max_seconds=60, seed=0)
    assert table["decoding"].tolist() == decodings
    assert (table["seconds"] > 0).all()
    greedy = evaluate(system, texts).summary(seed=0)
    assert all(table.loc[0, name] == greedy[name] for name in ("keystroke_savings", "rouge1", "exact_match"))
    # The model has read the texts.
    assert greedy["keystroke_savings"].value > 0


@pytest.fixture
def answered(monkeypatch):
    """The calls of a model that takes a second for each prefix with "mbr", or 10 ms, but 5 s for the first of all."""
    calls, now = [], [0.0]

    def answers(_model, _tokenizer, contexts, decoding):
        now[0] += len(contexts) * (1.0 if decoding.method == "mbr" else 0.01) if calls else 5.0
        calls.append((decoding.method, len(contexts)))
        return ["four"] * len(contexts)

    monkeypatch.setattr(selection, "best_answers", answers)
    monkeypatch.setattr(selection.time, "perf_counter", lambda: now[0])
    return calls


def test_a_decoding_that_is_too_slow_for_one_prefix_alone_is_neither_scored_nor_chosen(answered):
    system, texts = SimpleNamespace(model=None, tokenizer=None), ["one two three four"] * 40
    table = decoding_evaluations(system, [GREEDY, Decoding("mbr")], texts, max_seconds=0.2, seed=0)
    alone = selection.NUM_TRIED
    assert answered[1:] == [("greedy", 1)] * alone + [("greedy", 40)] + [("mbr", 1)] * alone
    assert table["seconds"].tolist() == pytest.approx([0.01, 1.0])
    assert table.loc[0, "rouge1"].value == 1.0 and str(table.loc[1, "rouge1"]) == "undefined"
    assert choose_decoding(table, max_seconds=2.0) == GREEDY
    record = decoding_record(table)
    assert record["greedy"]["keystroke_savings"]["n"] == 40 and record["greedy"]["seconds"] == pytest.approx(0.01)
    assert '"value": null' in json_text(record[str(Decoding("mbr"))])


def table_of(*rows: tuple[Decoding, float | None, float]) -> pd.DataFrame:
    """A table of `decoding_evaluations` from decodings, the keys that they save and their seconds."""
    saved = [UNDEFINED if value is None else Estimate(value, 0.0, 1.0, 9) for _, value, _ in rows]
    decodings, _, seconds = zip(*rows)
    return pd.DataFrame({"decoding": decodings, "keystroke_savings": saved, "seconds": seconds})


def test_the_decoding_that_saves_most_keys_within_the_time_is_chosen():
    beam, mbr = Decoding("beam"), Decoding("mbr")
    table = table_of((GREEDY, 0.03, 0.02), (beam, 0.035, 0.05), (mbr, 0.04, 0.4))
    assert choose_decoding(table, max_seconds=1.0) == mbr
    assert choose_decoding(table, max_seconds=0.1) == beam
    assert choose_decoding(table, max_seconds=0.001) == GREEDY


def test_of_equally_good_decodings_the_first_is_chosen():
    beam = Decoding("beam")
    for first, second in ((GREEDY, beam), (beam, GREEDY)):
        assert choose_decoding(table_of((first, 0.03, 0.2), (second, 0.03, 0.1)), max_seconds=1.0) == first


def test_if_no_decoding_is_fast_enough_the_first_is_chosen():
    table = table_of((GREEDY, None, 0.9), (Decoding("nucleus"), None, 0.8))
    assert choose_decoding(table, max_seconds=0.5) == GREEDY


# Sample sizes


@pytest.mark.parametrize(
    ("most", "share", "num_texts", "size"),
    [(2_000, 0.2, 150_000, 2_000), (2_000, 0.2, 4_000, 800), (2_000, 0.2, 300, 100), (20, 0.2, 300, 20)],
)
def test_a_small_corpus_gives_a_share_of_its_texts_but_not_too_few(most, share, num_texts, size):
    assert sample_size(most, share, num_texts) == size


def test_the_least_number_of_texts_can_be_chosen():
    assert sample_size(10, 1 / 200, 100, at_least=1) == 1
