"""The computed cost of more tweets, from the rates measured on two CPU cores and on one GPU."""

NUM_TWEETS = (1_600_000, 100_000_000, 10_000_000_000)
PASSES = {1_600_000: 8, 100_000_000: 1, 10_000_000_000: 1}
BYTES_PER_TOKEN = 4
TOKENS_PER_TWEET = 16
BYTES_PER_TEXT = 64


def cost_table(training: dict, preparation: dict, on_gpu: dict) -> list[dict]:
    """Time and disk space for three numbers of tweets.

    Args:
        training: the row of the notebook's loop, see `benchmarks.speed.training.training_speed`.
        preparation: the last row of `benchmarks.speed.data.preparation_speed`.
        on_gpu: the row of the LSTM, see `benchmarks.speed.gpu.gpu_speed`.
    """
    rows = []
    for num_tweets in NUM_TWEETS:
        seen = num_tweets * PASSES[num_tweets]
        rows.append(
            {
                "tweets": f"{num_tweets:,}",
                "passes": PASSES[num_tweets],
                "preparing, two cores": duration(num_tweets / preparation["rows per second"]),
                "training, two cores": duration(seen / training["tweets per second"]),
                f"training, one {on_gpu['device']}": duration(seen / on_gpu["tweets per second"]),
                "texts, GB": round(num_tweets * BYTES_PER_TEXT / 1e9, 1),
                "tokens, GB": round(num_tweets * TOKENS_PER_TWEET * BYTES_PER_TOKEN / 1e9, 1),
            }
        )
    return rows


def duration(seconds: float) -> str:
    """A time in its largest unit that gives at least 2, e.g. "34 hours"."""
    for unit, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.0f} {unit}"
    return f"{seconds:,.0f} seconds"
