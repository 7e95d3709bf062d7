"""Random input of every kind is either accepted or refused in one sentence."""

import io
import json
import zipfile

import pytest
from fastapi.testclient import TestClient
from hypothesis import example, given
from hypothesis import strategies as st

from src.completion.completer import Completer
from src.corpus.load import read_sentiment140
from src.corpus.rows import FEW_BAD_ROWS, MAX_BAD_SHARE, CorpusFormatError
from src.demo.server import PageModel, create_app
from src.text.prefixes import PrefixError
from tests.budget import examples

FRAGMENTS = (
    '"0","1","","q","ada","so very"\n',
    '"',
    ",",
    "\n",
    "\r",
    '""',
    "\0",
    "4,7,,q,ada,tea\n",
    '"0"',
    "é",
    "9",
    " ",
)
CSV = st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=8), max_size=40).map(
    lambda fragments: "".join(fragments).encode("latin-1", "ignore")
)
LOCAL = "http://127.0.0.1"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("nonsense")


def assert_read_or_refused(path):
    try:
        corpus = read_sentiment140(path)
    except CorpusFormatError as error:
        assert path.name in str(error) and "\n" not in str(error)
    else:
        assert len(corpus.tweets) + len(corpus.bad_rows) > 0
        num_rows = len(corpus.tweets) + len(corpus.bad_rows)
        assert len(corpus.bad_rows) <= max(FEW_BAD_ROWS, MAX_BAD_SHARE * num_rows)
        assert corpus.tweets["text"].str.strip().ne("").all()


@examples(5)
@given(CSV | st.binary(max_size=200))
def test_any_bytes_are_a_corpus_or_refused(folder, content):
    (folder / "tweets.csv").write_bytes(content)
    assert_read_or_refused(folder / "tweets.csv")


@examples(5)
# With these changes, a name in the archive is not UTF-8.
@example(content=b"", changes=[(411, 8), (1648, 128)])
@given(CSV, st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=3))
def test_any_zip_is_a_corpus_or_refused(folder, content, changes):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("tweets.csv", content)
    packed = bytearray(file.getvalue())
    for position, byte in changes:
        packed[position % len(packed)] = byte
    (folder / "tweets.zip").write_bytes(packed)
    assert_read_or_refused(folder / "tweets.zip")


@pytest.fixture(scope="module")
def client(tiny_lstm, tokenizer):
    app = create_app([PageModel("LSTM", "untrained", lambda: Completer(tiny_lstm, tokenizer))])
    return TestClient(app, base_url=LOCAL, raise_server_exceptions=True)


# With surrogates: halves of characters, which JSON can express.
ANY_TEXT = st.text(st.characters(exclude_categories=[]))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda values: st.lists(values) | st.dictionaries(st.sampled_from(["model", "text", "n"]) | ANY_TEXT, values),
)
QUESTIONS = st.fixed_dictionaries({"model": st.just("LSTM") | JSON, "text": JSON})


@pytest.mark.slow
@examples(5)
@given(JSON | QUESTIONS)
def test_any_question_is_answered_or_refused(client, question):
    answer = client.post("/suggestions", content=json.dumps(question).encode())
    assert answer.status_code == 200 or 400 <= answer.status_code < 500


@pytest.mark.slow
@examples(5)
@given(st.binary(max_size=100))
def test_any_bytes_are_refused(client, content):
    assert 400 <= client.post("/suggestions", content=content).status_code < 500


@examples(1)
@given(st.text() | st.lists(st.sampled_from(["tea", "☕", "<b>", " ", "\n", "@ada", "\u202e", "I'm"])).map("".join))
def test_any_text_gets_suggestions_or_none(client, text):
    answer = client.post("/suggestions", json={"model": "LSTM", "text": text})
    assert answer.status_code == 200
    assert all(suggestion["text"] for suggestion in answer.json()["suggestions"])


@examples(1)
@given(st.text(), st.integers(1, 4), st.booleans())
def test_any_prefix_is_completed_or_refused(tiny_lstm, tokenizer, prefix, n, half_typed):
    try:
        [suggestions] = Completer(tiny_lstm, tokenizer).complete([prefix], n, half_typed)
    except PrefixError as error:
        assert "prefix 0" in str(error)
    else:
        assert 1 <= len(suggestions) <= n
