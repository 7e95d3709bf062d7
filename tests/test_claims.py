"""Figures in the prose of the README and the notebooks are those of the committed run's records."""

import json
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest

from src.evaluation.endpoints import chosen_tests
from src.evaluation.verdicts import verdicts
from src.report.tables import main_table, markdown_table

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
RUN_DIR = ROOT / re.search(r'run_dir = "(models/lstm_lm-[^"]+)"', README).group(1)
META, HISTORY, RECORD = (
    json.loads((RUN_DIR / f"{name}.json").read_text(encoding="utf-8")) for name in ("meta", "history", "comparison")
)
SYSTEMS, TYPED, COUNTS = RECORD["systems"], RECORD["typing"]["systems"], META["data"]["counts"]
TOGETHER, DEVICE, NGRAMS = "LSTM with n-grams", "LSTM with n-grams, device", "Kneser-Ney n-gram"
[TRANSFORMER] = [name for name in SYSTEMS if name.startswith(("distilgpt2", "smollm2")) and ", " not in name]
INT8 = f"{TRANSFORMER}, int8"
TYPING = json.loads((ROOT / "benchmarks" / "results" / "typing.json").read_text(encoding="utf-8"))
[KEYS] = verdicts(chosen_tests(TYPING["tests"], [(DEVICE, INT8)]))
MINUTES = 15
METHODS = json.loads((ROOT / "benchmarks" / "results" / "methods.json").read_text(encoding="utf-8"))["tests"]
OVER_SEEDS = verdicts(chosen_tests(METHODS, [(f"finetuned, {MINUTES} minutes", f"lstm, {MINUTES} minutes")]))[0]


def budget_minutes(name: str, num_tweets: int) -> str:
    """Minutes of one core in which training reads so many tweets, by the measured paces."""
    paces = json.loads((ROOT / "benchmarks" / "results" / "paces.json").read_text(encoding="utf-8"))["rows"]
    [pace] = [row["tweets_per_second"] for row in paces if row["name"] == name]
    return f"{num_tweets / pace / 60:.0f}"


def score(name: str, metric: str) -> float:
    return SYSTEMS[name]["metrics"][metric]["value"]


def saved(name: str, policy: str = "word") -> dict:
    return TYPED[name][policy]["3"]["metrics"]["keys_saved"]


def perplexity(name: str) -> str:
    return f"{score(name, 'perplexity_per_word'):.0f}"


def milliseconds(name: str) -> str:
    return f"{1000 * SYSTEMS[name]['seconds_per_suggestion']:.0f}"


def minutes(name: str) -> str:
    return f"{SYSTEMS[name]['training_minutes']:.0f}"


def at_coverage(name: str, share: str) -> str:
    return f"{SYSTEMS[name]['exact_match_at_coverage'][share]['value']:.1%}"


def verbatim(name: str, digits: int = 0) -> str:
    return f"{RECORD['verbatim_in_training'][name]['6 or more']['verbatim']:.{digits}%}"


def half_hidden() -> str:
    """The keys saved if half of the suggestions of the LSTM with n-grams is hidden, the least probable ones."""
    points = sorted((point["suggestions_shown"], point["keys_saved"]) for point in TYPED[TOGETHER]["curves"]["3"])
    shown, saved_keys = zip(*points)
    return f"{np.interp(shown[-1] / 2, shown, saved_keys):.1%}"


def group(title: str, name_of_group: str, digits: str) -> str:
    return format(RECORD["by_group"][title][name_of_group][TOGETHER]["value"], digits)


def group_perplexity(name: str, words: str) -> str:
    return f"{RECORD['strata']['words in the tweet'][words]['scores'][name]['perplexity_per_word']['value']:.0f}"


def typing_share(metric: str) -> str:
    return f"{TYPED[TOGETHER]['word']['3']['metrics'][metric]['value']:.1%}"


def kinds(*chosen: str) -> float:
    """The share of the device form's answers that are of some kinds."""
    counts = RECORD["errors"][DEVICE]
    return sum(counts[kind] for kind in chosen) / sum(counts.values())


BY_FREQUENCY = "next-word accuracy by frequency of the true next word"
BY_SIMILARITY = "ROUGE-1 by similarity to the nearest training tweet"
# Texts that must stand on a page as they are.
CLAIMS = {
    "README.md": [
        f"**saves {saved(DEVICE)['value']:.1%} of all keys** (95% interval {saved(DEVICE)['low']:.1%} to "
        f"{saved(DEVICE)['high']:.1%})",
        f"a list of frequent words saves {saved('word list')['value']:.1%}",
        f"with the LSTM {saved('LSTM')['value']:.1%}; with the Kneser-Ney n-gram model, which counts what follows the "
        f"last few tokens, {saved(NGRAMS)['value']:.1%}; with both, averaged with weights, "
        f"{saved(TOGETHER)['value']:.1%}.",
        f"In int8 the transformer takes {milliseconds(INT8)} ms.",
        f"a fine-tuned transformer of {SYSTEMS[INT8]['megabytes']:.0f} MB",
        f"but equivalent: on the {KEYS.test.n} tweets that both typed, the difference is "
        f"{100 * KEYS.test.value:.1f} percentage points ({100 * KEYS.test.low:.1f} to {100 * KEYS.test.high:.1f})",
        f"{SYSTEMS[DEVICE]['megabytes']:.1f} MB",
        f"{META['settings']['max_tweets_seen']:,} tweets for the LSTM and "
        f"{SYSTEMS[TRANSFORMER]['training_tweets']:,} for the pretrained transformer: "
        f"{budget_minutes('lstm', META['settings']['max_tweets_seen'])} and "
        f"{budget_minutes('finetuned', SYSTEMS[TRANSFORMER]['training_tweets'])} minutes of one core",
        f"{RECORD['num_pairs']:,} test pairs",
        f"of {MINUTES} minutes the transformer saves {100 * OVER_SEEDS.test.value:.1f} points more keys "
        f"({100 * OVER_SEEDS.test.low:.1f} to {100 * OVER_SEEDS.test.high:.1f}) than the LSTM alone",
    ],
    "solution_lstm.ipynb": [
        f"The committed run, nearly two passes over {COUNTS['train'] / 1e6:.1f} million tweets, trained for "
        f"{META['duration_seconds'] / 60:.0f} minutes on one core.",
        f"a file with {COUNTS['rows_read']:,} rows",
        f"fewer than 10,000 of {COUNTS['rows_read'] / 1e6:.1f} million rows are dropped, and {COUNTS['train']:,} ",
        f"{SYSTEMS['LSTM']['parameters'] / 1e6:.1f} million parameters",
        f"falls from {HISTORY[0]['val_loss']:.2f} nats at the first evaluation to {HISTORY[-1]['val_loss']:.2f} at ",
        f"less than two passes over {COUNTS['train'] / 1e6:.1f} million tweets",
        f"the LSTM has {META['metrics']['val_loss']:.2f}.",
        f"a perplexity of {META['metrics']['perplexity_per_word']['value']:.0f} per word",
        f"the expected calibration error is {META['metrics']['calibration_error']['before']:.3f} before the correction "
        f"and {META['metrics']['calibration_error']['after']:.3f} after",
    ],
    "solution_pretrained.ipynb": [
        f"fine-tuning took {minutes(TRANSFORMER)} minutes",
        f"{SYSTEMS[TRANSFORMER]['parameters'] / 1e6:.0f} million parameters, "
        f"{SYSTEMS[TRANSFORMER]['parameters'] / SYSTEMS['LSTM']['parameters']:.0f} times as many as the LSTM has",
    ],
    "compare.ipynb": [
        f"the folder has {SYSTEMS[DEVICE]['megabytes']:.1f} MB",
        f"a suggestion of the LSTM in int8 takes {milliseconds('LSTM, ONNX int8')} milliseconds and one of the "
        f"transformer in int8 {milliseconds(INT8)}",
        f"{saved(TOGETHER)['value']:.1%} with the LSTM and n-grams together, "
        f"{saved('word list')['value']:.1%} with the word list",
        f"{SYSTEMS[DEVICE]['megabytes']:.1f} MB, {milliseconds(DEVICE)} milliseconds, and nearly the same keys saved "
        f"as the form in torch, which takes {milliseconds(TOGETHER)} milliseconds and "
        f"{SYSTEMS[TOGETHER]['megabytes']:.0f} MB",
        f"the perplexity of the LSTM stays at {perplexity('LSTM, ONNX int8')}",
        f"The perplexity of the transformer rises from {perplexity(TRANSFORMER)} to {perplexity(INT8)}.",
        f"saves {saved(TOGETHER)['value']:.1%} of the keys word by word and "
        f"{saved(TOGETHER, 'phrase')['value']:.1%} with phrases",
        f"About one suggestion in seven is right ({typing_share('suggestions_right')}), and nearly every third word "
        f"({typing_share('words_before_first_letter')}) is offered before its first letter.",
        f"still saves {half_hidden()} of the keys if the unsure half",
        f"{score(TOGETHER, 'exact_match'):.1%} of all answers of the LSTM with n-grams are exactly right, but "
        f"{at_coverage(TOGETHER, '0.05')} of the surest 5%",
        f"of its surest 5%, {at_coverage(TRANSFORMER, '0.05')} are right",
        f"{verbatim('LSTM')} of the LSTM's answers of six words or more occur in a training tweet, but only "
        f"{verbatim('true endings', 1)} of the true endings",
        f"The n-gram model copies less: {verbatim(NGRAMS)}.",
        f"({group_perplexity(TOGETHER, '4 to 6')} to {group_perplexity(TRANSFORMER, '4 to 6')} on four to six words)",
        f"({group_perplexity(TRANSFORMER, '21 or more')} to {group_perplexity(TOGETHER, '21 or more')} on 21 or more)",
        f"Hardly any answer repeats itself ({kinds('repeats itself'):.1%}).",
        f"the LSTM with n-grams finds {group(BY_FREQUENCY, '1% or more', '.0%')}; of those below 0.01%, "
        f"{group(BY_FREQUENCY, 'under 0.01%', '.0%')}.",
        f"ROUGE-1 rises from {group(BY_SIMILARITY, 'under 0.1', '.2f')} for tweets unlike any training tweet to "
        f"{group(BY_SIMILARITY, '0.5 or more', '.2f')} for the most similar ones",
        f"the constant answer is more than twice as long as the true endings "
        f"({score('constant answer', 'length_ratio'):.1f} times), and the LSTM's answers are a little longer "
        f"({score('LSTM', 'length_ratio'):.2f} times)",
    ],
}


def prose(page: str) -> str:
    """The text of a page, or of the markdown cells of a notebook, with one space in place of every white space."""
    if page.endswith(".md"):
        text = (ROOT / page).read_text(encoding="utf-8")
    else:
        cells = nbformat.read(ROOT / page, as_version=4).cells
        text = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def test_the_verdict_in_the_first_paragraph_is_that_of_the_record():
    assert KEYS.kind == "equivalent"


def test_shares_in_words_are_about_those_of_the_record():
    first_word_right = ("exactly right", "right, but stops early", "right, but goes on", "starts right, then differs")
    assert META["settings"]["max_tweets_seen"] / COUNTS["train"] == pytest.approx(1.82, abs=0.01)
    assert kinds(*first_word_right) == pytest.approx(1 / 5, abs=0.01)
    assert kinds("no right word") == pytest.approx(0.7, abs=0.02)
    assert score("LSTM", "next_word") == pytest.approx(1 / 5, abs=0.01)


@pytest.mark.parametrize("page", CLAIMS)
def test_the_figures_of_a_page_are_those_of_the_record(page):
    text = prose(page)
    assert not [claim for claim in CLAIMS[page] if claim not in text]


def test_the_table_of_the_small_corpus_is_that_of_its_record():
    record = json.loads((ROOT / "benchmarks" / "results" / "small_corpus.json").read_text(encoding="utf-8"))
    systems = record["systems"]
    names = ["word list", NGRAMS, "LSTM, from scratch", "LSTM", DEVICE, TRANSFORMER]
    rows = [{"": name, **row} for name, row in main_table(record, names).to_dict("index").items()]
    page = (ROOT / "benchmarks" / "RESULTS.md").read_text(encoding="utf-8")
    assert markdown_table(rows) in page
    assert (
        f"There are {record['data']['counts']['train']:,} training tweets, {record['num_pairs']} test pairs and "
        f"{record['typing']['systems']['LSTM']['tweets']} typed tweets "
        f"({record['typing']['systems'][TRANSFORMER]['tweets']} by the transformer, which is fine-tuned on "
        f"{systems[TRANSFORMER]['training_tweets']:,} tweets)."
    ) in " ".join(page.split())
