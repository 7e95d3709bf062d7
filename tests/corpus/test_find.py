"""Look for the best corpus in a folder: under every name that sites give it, and what is not taken."""

import gzip
import json
from pathlib import Path

import pytest

from src.corpus import load
from src.corpus.download import DownloadError
from src.corpus.find import find_corpus
from src.corpus.load import load_corpus
from src.corpus.opening import SENTIMENT140_CSV
from src.corpus.packaged import PACKAGES
from src.corpus.rows import CorpusFormatError
from tests.corpus.made_files import row, write_csv, write_shard, write_zip

TRAINING = row(1, "from the training csv")
TEST_CSV = "testdata.manual.2009.06.14.csv"


def place(folder, name, content=TRAINING):
    """Write a corpus under this name; zip files hold the csvs of the original archive."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if name.lower().endswith(".zip"):
        return write_zip(path, **{SENTIMENT140_CSV: content, TEST_CSV: row(9, "from the test csv") * 50})
    return write_csv(path.parent, content, name=path.name)


def found_texts(folder, **arguments):
    return list(load_corpus(data_dir=folder, download_url=None, **arguments).tweets["text"])


@pytest.mark.parametrize(
    "name",
    [
        "archive.zip",
        "sentiment140.zip",
        "trainingandtestdata.zip",
        "Archive (1).ZIP",
        "sentiment140/archive.zip",
        "sentiment140/data/" + SENTIMENT140_CSV,
        SENTIMENT140_CSV.upper(),
        "tweets.CSV",
        "tweets.Csv.Zip",
        "sentiment140/training.txt",
    ],
)
def test_the_corpus_is_found_under_the_names_that_sites_give_it(tmp_path, name):
    place(tmp_path, name)
    place(tmp_path, "README.md", "about the data")
    assert found_texts(tmp_path) == ["from the training csv"]


def test_a_zip_file_with_the_csv_in_a_folder_is_found(tmp_path):
    members = {"Sentiment140/" + SENTIMENT140_CSV: TRAINING, f"Sentiment140/{TEST_CSV}": row(2), "notes.txt": "x"}
    write_zip(tmp_path / "archive.zip", **members)
    assert found_texts(tmp_path) == ["from the training csv"]


def test_the_better_known_comes_first_and_the_others_are_named(tmp_path):
    write_csv(tmp_path, TRAINING * 100, name="a.csv")
    write_csv(tmp_path, TRAINING * 200, name="b.csv")
    names = ["b.csv"]
    write_shard(tmp_path / "hub/train-00000-of-00001.parquet", "from the hub")
    names.append("train-00000-of-00001.parquet")
    for name in ("archive.zip", SENTIMENT140_CSV + ".zip", SENTIMENT140_CSV):
        names.append(place(tmp_path, name).name)
    expected = list(reversed(names))
    for i, best in enumerate(expected):
        found, not_taken = find_corpus(tmp_path)
        assert found.name == best
        others = [*expected[i + 1 :], "a.csv"]
        sentences = [f"{name} is not as good or as large as {best}" for name in others]
        assert [sentence.removeprefix("in hub, ") for sentence in not_taken] == sentences
        found.unlink()


def test_the_shards_of_the_hub_are_taken_together_and_not_the_test_split(tmp_path):
    for number, text in enumerate(["one", "two"]):
        write_shard(tmp_path / f"sentiment140/train-0000{number}-of-00002.parquet", text)
    write_shard(tmp_path / "sentiment140/test-00000-of-00001.parquet", "test", "test", "test")
    corpus = load_corpus(data_dir=tmp_path)
    assert list(corpus.tweets["text"]) == ["one", "two"]
    assert corpus.not_taken == (
        "in sentiment140, test-00000-of-00001.parquet is a test or validation split; only training splits are used",
    )


def test_converted_shards_lie_in_folders_of_splits(tmp_path):
    write_shard(tmp_path / "sentiment140/train/0000.parquet", "one")
    write_shard(tmp_path / "sentiment140/test/0000.parquet", "test", "test", "test")
    assert found_texts(tmp_path) == ["one"]


def test_whatever_is_not_taken_is_named_with_the_reason(tmp_path):
    place(tmp_path, "good.csv", TRAINING * 20)
    (tmp_path / "photo.png").write_bytes(b"\x89PNG")
    (tmp_path / "tweets.csv.gz").write_bytes(gzip.compress(TRAINING.encode()))
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/tweets.csv").write_bytes(TRAINING.encode("utf-16"))
    (tmp_path / "notes.txt").write_text("bread\nmilk\n")
    (tmp_path / "mine.csv").write_text("id,body\n1,hi there\n2,good morning\n")
    (tmp_path / "cut.zip").write_bytes(b"PK\3\4")
    corpus = load_corpus(data_dir=tmp_path)
    assert corpus.source == "good.csv"
    assert corpus.record()["not_taken"] == list(corpus.not_taken)
    starts = [sentence.partition(";")[0] for sentence in corpus.not_taken]
    assert starts == [
        "cut.zip is not a readable zip file (File is not a zip file)",
        "in deep, tweets.csv is UTF-16 text",
        "mine.csv, line 1: 2 columns instead of 6 (3 of the first 3 rows are bad",
        "notes.txt may be any text",
        "photo.png has an ending that is not supported",
        "tweets.csv.gz is a gzip file",
    ]


def test_the_projects_own_and_hidden_files_are_not_named(tmp_path):
    tables = [Path(package.member).name for package in PACKAGES]
    for name in ("README.md", "tweets_cleaned.csv", "model.gguf", *tables, "a.zip.part", ".a.lock"):
        place(tmp_path, name, "text,split\n")
    place(tmp_path, ".ipynb_checkpoints/old.csv")
    place(tmp_path, "__MACOSX/._tweets.csv")
    assert find_corpus(tmp_path) == (None, ())


def test_many_files_that_are_not_taken_are_recorded_in_short(tmp_path):
    place(tmp_path, "good.csv")
    for number in range(25):
        (tmp_path / f"photo{number:02}.png").write_bytes(b"")
    recorded = load_corpus(data_dir=tmp_path).record()["not_taken"]
    assert (len(recorded), recorded[-1]) == (21, "5 more files")


def test_a_file_with_too_many_bad_rows_at_its_end_still_stops(tmp_path):
    place(tmp_path, "tweets.csv", TRAINING * 3_000 + '"0","1"\n' * 3_000)
    with pytest.raises(CorpusFormatError, match=r"3,000 of .* are bad"):
        load_corpus(data_dir=tmp_path, download_url=None)


# Own tweets


def test_a_personal_archive_is_taken_if_there_is_no_sentiment140(tmp_path):
    parts = [[{"tweet": {"full_text": text}}] for text in ("mine", "mine too")]
    (tmp_path / "twitter/data").mkdir(parents=True)
    for number, (name, part) in enumerate(zip(("tweets.js", "tweets-part1.js"), parts)):
        content = f"window.YTD.tweets.part{number} = {json.dumps(part)}"
        (tmp_path / "twitter/data" / name).write_text(content)
    assert found_texts(tmp_path) == ["mine", "mine too"]
    place(tmp_path, "tweets.csv")
    assert found_texts(tmp_path) == ["from the training csv"]


def test_with_a_named_column_the_largest_file_that_has_it_is_taken(tmp_path):
    place(tmp_path, "tweets.csv")
    (tmp_path / "small.csv").write_text("id,body\n1,hi\n")
    (tmp_path / "large.jsonl").write_text('{"body": "hi there"}\n' * 3)
    assert found_texts(tmp_path, text_column="body") == ["hi there"] * 3
    with pytest.raises(CorpusFormatError, match=r"no tweets with a column 'tweet'.*large\.jsonl has no column 'tweet'"):
        load_corpus(data_dir=tmp_path, text_column="tweet")


# Other folders


def test_a_folder_can_be_given_in_place_of_a_file(tmp_path):
    place(tmp_path, "mine/tweets.csv")
    assert list(load_corpus(tmp_path / "mine").tweets["text"]) == ["from the training csv"]
    (tmp_path / "mine/tweets.csv").write_bytes(gzip.compress(b"x"))
    with pytest.raises(CorpusFormatError, match=r"mine holds no tweets. Not taken: tweets\.csv is a gzip file"):
        load_corpus(tmp_path / "mine")
    (tmp_path / "mine/tweets.csv").unlink()
    advice = r"Put a file of tweets there; data/README\.md lists the formats\."
    with pytest.raises(CorpusFormatError, match=rf"mine holds no tweets\. {advice}$"):
        load_corpus(tmp_path / "mine")
    with pytest.raises(CorpusFormatError, match=rf"mine holds no tweets with a column 'body'\. {advice}$"):
        load_corpus(tmp_path / "mine", text_column="body")


def test_a_text_file_in_a_folder_is_not_taken_and_the_reason_says_how_to_read_it(tmp_path):
    (tmp_path / "notes.txt").write_text("bread\nmilk\n")
    advice = "to read each line as a tweet, give the path of this file, not of its folder"
    with pytest.raises(CorpusFormatError, match=rf"notes\.txt may be any text; {advice}\.$"):
        load_corpus(tmp_path)


def test_the_data_sets_added_on_kaggle_are_found(tmp_path, monkeypatch):
    monkeypatch.setattr(load, "KAGGLE_INPUT", tmp_path / "input")
    place(tmp_path / "input", "sentiment140/" + SENTIMENT140_CSV)
    assert found_texts(tmp_path / "data") == ["from the training csv"]
    place(tmp_path / "data", "tweets.csv", row(1, "from the data folder"))
    assert found_texts(tmp_path / "data") == ["from the data folder"]


@pytest.fixture
def drive(tmp_path, monkeypatch) -> Path:
    """A folder in place of the Google Drive that Colab mounts."""
    folder = tmp_path / "drive" / "MyDrive"
    monkeypatch.setattr(load, "DRIVE_FOLDERS", (folder, folder / "data"))
    return folder


@pytest.mark.parametrize("name", ["archive.zip", f"data/{SENTIMENT140_CSV}", "data/tweets.csv"])
def test_the_corpus_on_a_drive_is_found_before_any_download(tmp_path, drive, name):
    place(drive, name)
    assert found_texts(tmp_path / "data") == ["from the training csv"]
    place(tmp_path / "data", "tweets.csv", row(1, "from the data folder"))
    assert found_texts(tmp_path / "data") == ["from the data folder"]


def test_of_a_drive_nothing_else_is_taken_or_named(tmp_path, drive, monkeypatch, caplog):
    def no_download(data_dir, download_url):
        raise DownloadError("no corpus can be downloaded")

    monkeypatch.setattr(load, "_fetch_corpus", no_download)
    place(drive, f"other/{SENTIMENT140_CSV}")
    place(drive, "secret.csv", "name,secret\nada,42\n")
    (drive / "tweets.js").write_text('window.YTD.tweets.part0 = [{"tweet": {"id_str": "1", "full_text": "mine"}}]')
    assert find_corpus(drive)[0] == drive / "other" / SENTIMENT140_CSV, "a data folder is searched deeper"
    with pytest.raises(DownloadError):
        load_corpus(data_dir=tmp_path / "data")
    place(drive, "tweets.csv")
    assert load_corpus(data_dir=tmp_path / "data").not_taken == ()
    assert caplog.messages == []
