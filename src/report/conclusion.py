"""What a comparison says, in five sentences that are drawn from its record."""

from collections.abc import Sequence

from src.evaluation.endpoints import chosen_tests
from src.evaluation.intervals import Estimate
from src.evaluation.verdicts import PRIMARY, SECONDARY, Verdict, verdicts
from src.report.tables import recorded_summaries, transformer_name

PERPLEXITY = "perplexity_per_word"
TOGETHER, LSTM, NGRAMS = "LSTM with n-grams", "LSTM", "Kneser-Ney n-gram"
# What a verdict says about the first system; the second one's name follows.
SAID = {
    "better": "is better than",
    "worse": "is worse than",
    "equivalent": "is equivalent to",
    "undecided": "can't be told apart from",
}


def conclusion(record: dict) -> str:
    """Five sentences: keys saved, quality, cost, what the n-grams add, and how long the models were trained.

    Args:
        record: a comparison with its `typing` and `tests`. It holds the LSTM, the n-grams, both together, the
            transformer, and the latency and the size of all four.
    """
    transformer = transformer_name(record)
    return " ".join(
        [
            _keys_sentence(record, transformer),
            _quality_sentence(record, transformer),
            _cost_sentence(record, transformer),
            _ngram_sentence(record),
            _training_sentence(record, transformer),
        ]
    )


def _verdicts(record: dict, other: str) -> dict[str, Verdict]:
    """What is said about the LSTM with n-grams, compared with another system, by metric id."""
    return {one.metric.id: one for one in verdicts(chosen_tests(record["tests"], [(TOGETHER, other)]))}


def _keys_sentence(record: dict, transformer: str) -> str:
    typed, baseline = record["typing"]["systems"], record["typing"]["baseline"]
    saved, of_baseline = (_keys_saved(typed[name]) for name in (TOGETHER, baseline))
    verdict = _verdicts(record, transformer)[PRIMARY]
    tweets = f"{verdict.test.n:,} tweet{'' if verdict.test.n == 1 else 's'}"
    return (
        f"With three suggestions at every letter, the {TOGETHER} saves {saved.value:.1%} of the keys "
        f"({100 * saved.low:.1f} to {100 * saved.high:.1f}), while a {baseline} saves {of_baseline.value:.1%}; on "
        f"{tweets} that both typed, it {SAID[verdict.kind]} {transformer}."
    )


def _keys_saved(typed: dict) -> Estimate:
    return Estimate.from_record(typed["word"]["3"]["metrics"]["keys_saved"])


def _quality_sentence(record: dict, transformer: str) -> str:
    """Say in which metrics the LSTM with n-grams is better than the transformer, by the verdicts."""
    found = _verdicts(record, transformer)
    titles = {kind: [found[metric].metric.title for metric in SECONDARY if found[metric].kind == kind] for kind in SAID}
    parts = [f"{SAID[kind]} {transformer} in {_listed(listed)}" for kind, listed in titles.items() if listed]
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
    help_each_other = all(_verdicts(record, alone)[PERPLEXITY].kind == "better" for alone in (LSTM, NGRAMS))
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
        f"The LSTM{started} learned from {tweets[0]:,} different tweets in {_rounded(minutes[0])} minutes and "
        f"{transformer}, which had read other texts before, from {tweets[1]:,} in {_rounded(minutes[1])} minutes; more "
        "training may change the order."
    )
