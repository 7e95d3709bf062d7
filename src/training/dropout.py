"""How much dropout an LSTM needs."""

# In trials, dropout of 0.1 did harm with 3.6 passes over the tweets, and 0.3 was better than 0.1 with 5.4.
PASSES_WITHOUT_DROPOUT = 5
DROPOUT = 0.3


def default_dropout(num_texts: int, max_epochs: int, max_tweets_seen: int) -> float:
    """The probability of dropout for an LSTM from random weights: 0 unless its tweets are seen more than five times.

    Args:
        num_texts: number of training texts.
        max_epochs, max_tweets_seen: as in `TrainingSettings`.
    """
    return DROPOUT if min(max_epochs, max_tweets_seen / num_texts) > PASSES_WITHOUT_DROPOUT else 0.0
