"""Clean and split several files of tweets with a Dask cluster, or with one process per core of this machine.

`python -m vm.clean_with_dask OUTPUT.csv FILE ... [--scheduler ADDRESS]`: the files have a format of data/README.md and
the same paths on every worker. OUTPUT.csv is the `tweets_cleaned.csv` that `solution_lstm.ipynb` would write for all
rows in one file. The workers read and clean; only cleaned texts are sent back.
"""

import argparse
import json
from collections import Counter
from functools import partial

import dask
import dask.dataframe as dd
import pandas as pd
from distributed import Client

from src.corpus.load import read_corpus
from src.corpus.splits import SplitBy
from src.data_utils import PreparedTweets, split_cleaned, write_tweets_csv
from src.text.cleaning import clean_strings, normalize_tweets

COLUMNS = {"text": object, "user": object, "date": object, "unused_rows": object}


def read_tweets(path: str, text_column: str | None = None) -> pd.DataFrame:
    """The tweets of a file; each row also holds the counts of `Corpus.unused_rows` of that file, as JSON."""
    corpus = read_corpus(path, text_column)
    return corpus.tweets.assign(unused_rows=json.dumps(corpus.unused_rows)).astype(COLUMNS)


def clean_with_dask(
    paths: list[str], seed: int = 0, split_by: SplitBy = "random", text_column: str | None = None
) -> PreparedTweets:
    """`src.data_utils.prepare_tweets` for several files, one partition each, with the current Dask client.

    Raises:
        CorpusFormatError: a file can't be read as tweets.
        ValueError: too few rows, users or dates are left to fill the three splits.
    """
    tweets = dd.from_map(
        partial(read_tweets, text_column=text_column), paths, meta=pd.DataFrame(columns=COLUMNS).astype(COLUMNS)
    )
    normalized = tweets["text"].map_partitions(normalize_tweets, meta=("text", object))
    tweets = tweets.assign(text=normalized.map_partitions(clean_strings, meta=("text", object)))
    unused_rows = tweets["unused_rows"].map_partitions(lambda column: column.iloc[:1])
    # Keep pandas' own strings, so that the functions get the same types as on one machine.
    with dask.config.set({"dataframe.convert-string": False}):
        cleaned, unused_rows = dask.compute(tweets[["text", "user", "date"]], unused_rows)
    cleaned = cleaned.reset_index(drop=True)
    counts = Counter({"bad_rows": 0})
    for unused_rows_of_file in unused_rows:
        counts.update(json.loads(unused_rows_of_file))
    return split_cleaned(cleaned, dict(counts), f"{len(paths)} files", seed, split_by)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output")
    parser.add_argument("paths", nargs="+", metavar="FILE")
    parser.add_argument("--scheduler", help="address of a running cluster; default: start one process per core")
    parser.add_argument("--seed", type=int, default=0, help="seed of the split")
    parser.add_argument("--text-column", help="the column of the texts, if the files have another format")
    arguments = parser.parse_args()
    with Client(arguments.scheduler):
        write_tweets_csv(
            clean_with_dask(arguments.paths, arguments.seed, text_column=arguments.text_column), arguments.output
        )


if __name__ == "__main__":
    main()
