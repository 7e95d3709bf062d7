"""Write the record of the texts that a run has seen, for a run that has none, and measure how exact the record is.

`python -m benchmarks.quality.seen_texts RUN` is for a run that started from random weights on the corpus in `data/`. It
writes `training_texts.safetensors` into the run's folder, and the share of each split that the record contains to
`benchmarks/results/seen_texts.json`. The test split has no text of the others, so its share is the rate of false
positives.
"""

import argparse
import sys
from pathlib import Path
from time import perf_counter

from benchmarks.common import prepared_corpus, write_results
from src.corpus.splits import SPLITS
from src.data_utils import PreparedTweets
from src.evaluation.seen_texts import BITS_PER_TEXT, POSITIONS_PER_TEXT, SeenTexts, load_seen_texts
from src.runs import SEEN_TEXTS_FILE, RunError, find_run, named_run


def record_seen_texts(run_dir: Path, tweets: PreparedTweets) -> list[dict]:
    """Write the record of a run's training and validation texts; return the share of each split that it contains."""
    texts = {split: tweets.texts(split) for split in SPLITS}
    start = perf_counter()
    SeenTexts.of(texts["train"] + texts["val"]).save(run_dir)
    costs = {"seconds": perf_counter() - start, "megabytes": (run_dir / SEEN_TEXTS_FILE).stat().st_size / 1e6}
    seen = load_seen_texts(run_dir)
    shares = {split: float(seen.contain(texts[split]).mean()) for split in SPLITS}
    return [{"split": split, "texts": len(texts[split]), "contained": shares[split], **costs} for split in SPLITS]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", help="name of a run in models/, or its folder")
    run = parser.parse_args().run
    try:
        run_dir = named_run(run)
        tweets, data = prepared_corpus()
        rows = record_seen_texts(find_run(run_dir.name, data=data, run_dir=run_dir), tweets)
    except RunError as error:
        sys.exit(str(error))
    settings = {"run": run_dir.name, "bits_per_text": BITS_PER_TEXT, "positions_per_text": POSITIONS_PER_TEXT}
    write_results("seen_texts", data, settings, rows, command=f"python -m benchmarks.quality.seen_texts {run}")


if __name__ == "__main__":
    main()
