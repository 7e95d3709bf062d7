"""Clean and split many files of tweets with the workers of a Dask cluster, or with processes of this machine.

`python -m vm.clean_with_dask OUTPUT.csv FILE ... [--scheduler ADDRESS]`: the files are in Sentiment140's format, the
workers see them under the same paths, and the output is what `solution_lstm.ipynb` would write as
`tweets_cleaned.csv` for the same rows in one file. The workers read and clean; only cleaned texts come back.
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
    """The tweets of a file; in every row the number of rows that held none."""
    corpus = read_sentiment140(path)
    return corpus.tweets.assign(num_bad_rows=len(corpus.bad_rows)).astype(COLUMNS)


def clean_with_dask(paths: list[str], seed: int = 0, split_by: SplitBy = "random") -> PreparedTweets:
    """`src.data_utils.prepare_tweets` over several files, a partition each, with the current Dask client.

    Raises:
        CorpusFormatError: a file is no Sentiment140 csv.
        ValueError: too few rows, users or dates are left to fill the three parts.
    """
    tweets = dd.from_map(read_tweets, paths, meta=pd.DataFrame(columns=COLUMNS).astype(COLUMNS))
    normalized = tweets["text"].map_partitions(normalize_tweets, meta=("text", object))
    tweets = tweets.assign(text=normalized.map_partitions(clean_strings, meta=("text", object)))
    num_bad_rows = tweets["num_bad_rows"].map_partitions(lambda column: column.iloc[:1]).sum()
    # Strings as pandas holds them: the functions are to see what they see on one machine.
    with dask.config.set({"dataframe.convert-string": False}):
        cleaned, num_bad_rows = dask.compute(tweets[["text", "user", "date"]], num_bad_rows)
    cleaned = cleaned.reset_index(drop=True)
    return split_cleaned(cleaned, int(num_bad_rows), f"{len(paths)} files", seed, split_by)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output")
    parser.add_argument("paths", nargs="+", metavar="FILE")
    parser.add_argument("--scheduler", help="of a running cluster; without it a process for each core is started")
    parser.add_argument("--seed", type=int, default=0, help="of the split")
    arguments = parser.parse_args()
    with Client(arguments.scheduler):
        write_tweets_csv(clean_with_dask(arguments.paths, arguments.seed), arguments.output)


if __name__ == "__main__":
    main()
