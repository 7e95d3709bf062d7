"""How often do the systems suggest offensive words for neutral prompts, and how often do the training tweets hold them?

`python -m benchmarks.quality.harm` completes the 200 prompts of `harm_prompts.txt`, which were written for this, and
writes `benchmarks/results/harm.json`. The words are those of `src.text.offensive.offensive_words`. It takes the newest
LSTM on the corpus, and the newest transformer that was fine-tuned on it or, if there is none, one without fine-tuning.

A list of words measures one kind of harm only: a hurtful sentence may have none of these words. Where no prompt brings
one out, the bootstrap's interval is 0 to 0, but the true share may still be 3 divided by the number of prompts (the
rule of three, Hanley and Lippman-Hand, 1983).
"""

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from benchmarks.common import prepared_corpus, write_results
from src.completion.completer import Completer
from src.deploy.device import DEVICE_DIR, DeviceLM
from src.deploy.ngram_export import load_ngrams
from src.deploy.ngram_file import NGRAM_FILE
from src.evaluation.intervals import Ratio, estimate
from src.lstm_model import load_lstm_lm
from src.models.pretrained import PRETRAINED_NAMES, load_pretrained
from src.runs import find_run, find_runs
from src.text.offensive import PACKAGE, offensive_words
from src.text.prefixes import TweetCompleter

PROMPTS_FILE = Path(__file__).with_name("harm_prompts.txt")
NUM_SUGGESTIONS = 3
SEED = 0


def prompts() -> list[str]:
    """The neutral beginnings of tweets."""
    return PROMPTS_FILE.read_text(encoding="utf-8").splitlines()


def completers(run_dir: Path, data: dict) -> Iterator[tuple[str, TweetCompleter]]:
    """Yield the name of each system and its completer.

    Args:
        run_dir: the run folder of an LSTM with the folder `device`.
        data: the record of the corpus; a fine-tuned transformer must have learned from it.
    """
    tokenizer, lstm, pad_id, _ = load_lstm_lm(run_dir, device="cpu")
    yield "LSTM", Completer(lstm, tokenizer)
    yield "LSTM with n-grams, device, no filter", DeviceLM(run_dir / DEVICE_DIR, allow_offensive_words=True)
    yield "LSTM with n-grams, device", DeviceLM(run_dir / DEVICE_DIR, allow_offensive_words=False)
    yield "n-grams of the device alone", Completer(load_ngrams(run_dir / DEVICE_DIR / NGRAM_FILE, pad_id), tokenizer)
    if fine_tuned := find_runs(*PRETRAINED_NAMES, data=data):
        lm = load_pretrained(fine_tuned[0], device="cpu")
        yield f"{lm.name}, fine-tuned ({fine_tuned[0].name})", Completer(lm.model, lm.tokenizer)
    else:
        lm = load_pretrained(device="cpu")
        yield f"{lm.name}, not fine-tuned", Completer(lm.model, lm.tokenizer)


def measure(completer: TweetCompleter) -> dict:
    """The shares of suggestions and of complete answers with an offensive word, and these words.

    Suggestions are those that the page shows after a space. An answer is the most probable word, continued greedily
    until the tweet ends.
    """
    texts = prompts()
    suggested = completer.complete([f"{text} " for text in texts], NUM_SUGGESTIONS, half_typed=True)
    answered = completer.complete(texts)
    return {
        kind: offensive_share([[one.text for one in group] for group in groups])
        for kind, groups in (("suggestions", suggested), ("answers", answered))
    }


def offensive_share(groups: Sequence[Sequence[str]]) -> dict:
    """The share of texts with an offensive word, with its interval over groups, such as the prompts.

    Args:
        groups: the texts of each group.

    Returns:
        "texts", their number; "share", a record of an `Estimate`; "words", how often each offensive word occurs.
    """
    words = [[[word for word in text.split(" ") if word in offensive_words()] for text in group] for group in groups]
    ratio = Ratio(
        np.array([sum(map(bool, group)) for group in words], dtype=np.float64),
        np.array([len(group) for group in words], dtype=np.float64),
    )
    counts = Counter(word for group in words for found in group for word in found)
    return {
        "texts": int(ratio.denominator.sum()),
        "share": asdict(estimate(ratio, SEED)),
        "words": dict(counts.most_common()),
    }


def training_row(train_texts: Sequence[str]) -> dict:
    """The share of training tweets and of their words that are offensive; exact, because all tweets are counted."""
    listed = offensive_words()
    words = [text.split(" ") for text in train_texts]
    return {
        "system": "training tweets",
        "texts": len(words),
        "share": sum(not listed.isdisjoint(text) for text in words) / len(words),
        "share_of_words": sum(word in listed for text in words for word in text) / sum(map(len, words)),
    }


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    tweets, data = prepared_corpus()
    run_dir = find_run("lstm_lm", data=data)
    rows = [training_row(tweets.texts("train"))]
    print(f"training tweets: {rows[0]['share']:.4f} of tweets, {rows[0]['share_of_words']:.4f} of words")
    for name, completer in completers(run_dir, data):
        measured = measure(completer)
        rows.append({"system": name, **measured})
        print(name, *(f"{kind} {one['share']['value']:.4f}" for kind, one in measured.items()), sep=", ")
    settings = {"prompts": len(prompts()), "suggestions": NUM_SUGGESTIONS, "seed": SEED, "run": run_dir.name}
    settings |= {"word_list": PACKAGE, "listed_words": len(offensive_words())}
    write_results("harm", data, settings, rows, command="python -m benchmarks.quality.harm")


if __name__ == "__main__":
    main()
