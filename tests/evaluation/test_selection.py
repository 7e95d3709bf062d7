"""Choices on validation tweets: the tweets themselves."""

import pandas as pd
import pytest

from src.data_utils import PreparedTweets
from src.evaluation.evaluate import evaluation_texts
from src.evaluation.leakage import near_duplicates
from src.evaluation.selection import sample_size, validation_texts

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


# Sample sizes


@pytest.mark.parametrize(
    ("most", "share", "num_texts", "size"),
    [(2_000, 0.2, 150_000, 2_000), (2_000, 0.2, 4_000, 800), (2_000, 0.2, 300, 100), (20, 0.2, 300, 20)],
)
def test_a_small_corpus_gives_a_share_of_its_texts_but_not_too_few(most, share, num_texts, size):
    assert sample_size(most, share, num_texts) == size


def test_the_least_number_of_texts_can_be_chosen():
    assert sample_size(10, 1 / 200, 100, at_least=1) == 1
