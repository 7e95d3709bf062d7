"""What a comparison says, in five sentences that are drawn from its record."""

from collections.abc import Sequence

from src.evaluation.intervals import Estimate
from src.evaluation.metrics import METRICS
from src.report.comparison import find_difference
from src.report.tables import recorded_summaries, transformer_name

CONCLUSION_METRICS = ("perplexity_per_word", "next_word", "rouge1", "rouge2")
PERPLEXITY = "perplexity_per_word"
TOGETHER, LSTM, NGRAMS = "LSTM with n-grams", "LSTM", "Kneser-Ney n-gram"


def conclusion(record: dict) -> str:
    """Five sentences: keys saved, quality, cost, what the n-grams add, and how long the models were trained.

    Args:
        record: a comparison with its `typing` and `differences`. It holds the LSTM, the n-grams, both together, the
            transformer, and the latency and the size of all four.
    """
    transformer = transformer_name(record)
    return " ".join(
        [
            _keys_sentence(record),
            _quality_sentence(record, transformer),
            _cost_sentence(record, transformer),
            _ngram_sentence(record),
            _training_sentence(record, transformer),
        ]
    )


def _keys_sentence(record: dict) -> str:
    typed, baseline = record["typing"]["systems"], record["typing"]["baseline"]
    saved, of_baseline = (_keys_saved(typed[name]) for name in (TOGETHER, baseline))
    return (
        f"With three suggestions at every letter, the {TOGETHER} saves {saved.value:.1%} of the keys "
        f"({100 * saved.low:.1f} to {100 * saved.high:.1f}), while a {baseline} saves {of_baseline.value:.1%}."
    )


def _keys_saved(typed: dict) -> Estimate:
    return Estimate.from_record(typed["word"]["3"]["metrics"]["keys_saved"])


def _quality_sentence(record: dict, transformer: str) -> str:
    """Say in which metrics the LSTM with n-grams is better than the transformer, by paired differences."""
    better, worse, unclear = [], [], []
    for metric in (METRICS[metric_id] for metric_id in CONCLUSION_METRICS):
        difference = find_difference(record["differences"], TOGETHER, transformer, metric.id)
        # An undefined interval is unclear too.
        if not (difference.low > 0 or difference.high < 0):
            unclear.append(metric.title)
        else:
            (better if (difference.value > 0) != metric.lower_is_better else worse).append(metric.title)
    parts = [
        *([f"is better than {transformer} in {_listed(better)}"] if better else []),
        *([f"is worse than {transformer} in {_listed(worse)}"] if worse else []),
        *([f"can't be told apart from {transformer} in {_listed(unclear)}"] if unclear else []),
    ]
    return f"On {record['num_pairs']:,} test tweets, it {_listed(parts)}."


def _listed(items: Sequence[str]) -> str:
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)


def _cost_sentence(record: dict, transformer: str) -> str:
    systems, typed = record["systems"], record["typing"]["systems"]
    small, large = (fastest_form(systems, name) for name in (TOGETHER, transformer))
    slower, larger = (systems[large][cost] / systems[small][cost] for cost in ("seconds_per_suggestion", "megabytes"))
    keys = f" and saves {_keys_saved(typed[small]).value:.1%} of the keys" if small in typed else ""
    return (
        f"Its fastest form (“{small}”) has {_rounded(systems[small]['megabytes'])} MB, finds a suggestion in "
        f"{_rounded(1000 * systems[small]['seconds_per_suggestion'])} milliseconds{keys}; the fastest form of "
        f"{transformer} takes {_rounded(slower)} times as long and is {_rounded(larger)} times as large."
    )


def fastest_form(systems: dict[str, dict], name: str) -> str:
    """The name of the system with the lowest latency among a system and its other forms, such as those in int8.

    Args:
        systems: the systems of a record; what is another form of a system has its name as `form_of`.
    """
    forms = [other for other, system in systems.items() if name in (other, system.get("form_of"))]
    return min(forms, key=lambda form: systems[form]["seconds_per_suggestion"])


def _rounded(number: float) -> str:
    return f"{number:,.0f}" if number >= 20 else f"{number:.1f}"


def _ngram_sentence(record: dict) -> str:
    """Say whether the LSTM and the n-grams together are better than each alone."""
    summaries = recorded_summaries(record)
    lstm, ngrams, together = (f"{summaries[name][PERPLEXITY].value:,.0f}" for name in (LSTM, NGRAMS, TOGETHER))
    help_each_other = all(
        find_difference(record["differences"], TOGETHER, alone, PERPLEXITY).high < 0 for alone in (LSTM, NGRAMS)
    )
    numbers = f"alone they have a perplexity of {lstm} and {ngrams} per word, together of {together}"
    if help_each_other:
        return f"The LSTM and the n-grams help each other: {numbers}."
    return f"The LSTM and the n-grams together are not clearly better than each alone: {numbers}."


def _training_sentence(record: dict, transformer: str) -> str:
    minutes, tweets = (
        [record["systems"][name][cost] for name in (LSTM, transformer)]
        for cost in ("training_minutes", "training_tweets")
    )
    started = ", which started from a trained LSTM," if "init_from" in record["systems"][LSTM] else ""
    return (
        f"The LSTM{started} was trained for {_rounded(minutes[0])} minutes on {tweets[0]:,} tweets and {transformer}, "
        f"which had read other texts before, for {_rounded(minutes[1])} minutes on {tweets[1]:,}, so more training may "
        "change the order."
    )
