"""How exact a run's record of the texts that it has read is.

`python -m benchmarks.quality.seen_texts RUN` is for a run on the corpus in `data/`. It writes the share of each split
that `training_texts.safetensors` of the run contains to `benchmarks/results/seen_texts.json`. The run has read all
training tweets and the validation tweets on which its notebook made choices. It has read no test tweet, so the share of
the test split is the rate of false positives.
"""

import argparse
import sys
from pathlib import Path

from benchmarks.common import prepared_corpus, write_results
from src.corpus.splits import SPLITS
from src.data_utils import PreparedTweets
from src.evaluation.seen_texts import BITS_PER_TEXT, POSITIONS_PER_TEXT, load_seen_texts
from src.runs import SEEN_TEXTS_FILE, RunError, find_run, named_run


def contained_shares(run_dir: Path, tweets: PreparedTweets) -> list[dict]:
    """The share of each split that the record of a run contains."""
    seen = load_seen_texts(run_dir)
    texts = {split: tweets.texts(split) for split in SPLITS}
    return [
        {"split": split, "texts": len(texts[split]), "contained": float(seen.contain(texts[split]).mean())}
        for split in SPLITS
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", help="name of a run in models/, or its folder")
    run = parser.parse_args().run
    try:
        run_dir = named_run(run)
        tweets, data = prepared_corpus()
        rows = contained_shares(find_run(run_dir.name, data=data, run_dir=run_dir), tweets)
    except RunError as error:
        sys.exit(str(error))
    settings = {
        "run": run_dir.name,
        "bits_per_text": BITS_PER_TEXT,
        "positions_per_text": POSITIONS_PER_TEXT,
        "megabytes": (run_dir / SEEN_TEXTS_FILE).stat().st_size / 1e6,
    }
    write_results("seen_texts", data, settings, rows, command=f"python -m benchmarks.quality.seen_texts {run}")


if __name__ == "__main__":
    main()
