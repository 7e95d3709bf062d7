"""Clean and split several files of tweets with a Dask cluster, or with one process per core of this machine.

`python -m vm.clean_with_dask OUTPUT.csv FILE ... [--scheduler ADDRESS]`: the files are in Sentiment140's format, under
the same paths on every worker. OUTPUT.csv is the `tweets_cleaned.csv` that `solution_lstm.ipynb` would write for all
rows in one file. The workers read and clean; only cleaned texts are sent back.
"""

import argparse

import dask
import dask.dataframe as dd
import pandas as pd
from distributed import Client

from src.corpus.load import read_sentiment140
from src.corpus.splits import SplitBy
from src.data_utils import PreparedTweets, split_cleaned, write_tweets_csv
from src.text.cleaning import clean_strings, normalize_tweets

COLUMNS = {"text": object, "user": object, "date": object, "num_bad_rows": int}


def read_tweets(path: str) -> pd.DataFrame:
    """The tweets of a file; each row also holds the number of bad rows in that file."""
    corpus = read_sentiment140(path)
    return corpus.tweets.assign(num_bad_rows=len(corpus.bad_rows)).astype(COLUMNS)


def clean_with_dask(paths: list[str], seed: int = 0, split_by: SplitBy = "random") -> PreparedTweets:
    """`src.data_utils.prepare_tweets` for several files, one partition each, with the current Dask client.

    Raises:
        CorpusFormatError: a file is not a Sentiment140 csv.
        ValueError: too few rows, users or dates are left to fill the three splits.
    """
    tweets = dd.from_map(read_tweets, paths, meta=pd.DataFrame(columns=COLUMNS).astype(COLUMNS))
    normalized = tweets["text"].map_partitions(normalize_tweets, meta=("text", object))
    tweets = tweets.assign(text=normalized.map_partitions(clean_strings, meta=("text", object)))
    num_bad_rows = tweets["num_bad_rows"].map_partitions(lambda column: column.iloc[:1]).sum()
    # Keep pandas' own strings, so that the functions get the same types as on one machine.
    with dask.config.set({"dataframe.convert-string": False}):
        cleaned, num_bad_rows = dask.compute(tweets[["text", "user", "date"]], num_bad_rows)
    cleaned = cleaned.reset_index(drop=True)
    return split_cleaned(cleaned, int(num_bad_rows), f"{len(paths)} files", seed, split_by)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output")
    parser.add_argument("paths", nargs="+", metavar="FILE")
    parser.add_argument("--scheduler", help="address of a running cluster; default: start one process per core")
    parser.add_argument("--seed", type=int, default=0, help="seed of the split")
    arguments = parser.parse_args()
    with Client(arguments.scheduler):
        write_tweets_csv(clean_with_dask(arguments.paths, arguments.seed), arguments.output)


if __name__ == "__main__":
    main()
