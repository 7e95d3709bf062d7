"""The n-gram file: probabilities by hand, the same for one context and for many, and nothing hostile is read."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save

from src.deploy.ngram_file import BLOCK, NgramFile, NgramFileError
from tests.budget import examples

ROOT = Path(__file__).resolve().parents[2]
EOS = 2
METADATA = {"format": "ngrams", "version": "1", "vocab_size": "5", "order": "3", "eos_id": "2"}


def codebook(*values):
    return np.array([*values, *[0.0] * (256 - len(values))], dtype=np.float32)


def example_arrays():
    """Five tokens, 2 is the end. Known: 2 0, 2 1, 0 1, 0 3 and 1 4; after them 2 0 1, 2 0 4 and 0 1 4."""
    return {
        "probabilities_1": np.array([0.5, 0.25, 0.125, 0.0625, 0.0625], dtype=np.float32),
        "first_child_1": np.array([0, 2, 3, 5, 5, 5], dtype=np.uint32),
        "tokens_2": np.array([1, 3, 4, 0, 1], dtype=np.uint16),
        "shares_2": np.array([1, 0, 1, 0, 0], dtype=np.uint8),
        "codebook_2": codebook(0.25, 0.5),
        "num_children_2": np.array([1, 0, 0, 2, 0], dtype=np.uint8),
        "first_child_2": np.array([0], dtype=np.uint32),
        "tokens_3": np.array([4, 1, 4], dtype=np.uint16),
        "shares_3": np.array([2, 0, 1], dtype=np.uint8),
        "codebook_3": codebook(0.5, 0.75, 1.0),
    }


@pytest.fixture
def example(tmp_path):
    return NgramFile(written(tmp_path / "ngrams.bin"))


def written(path, metadata=METADATA, **changed):
    arrays = {name: array for name, array in (example_arrays() | changed).items() if array is not None}
    path.write_bytes(save(arrays, {name: value for name, value in metadata.items() if value is not None}))
    return path


# Probabilities


def test_sizes_and_arrays(example):
    assert (example.vocab_size, example.order, example.eos_id) == (5, 3, 2)
    assert example.levels[0].tokens.tolist() == [1, 3, 4, 0, 1]
    assert example.parents(2).tolist() == [0, 0, 1, 2, 2] and example.parents(3).tolist() == [0, 3, 3]


def test_probabilities_by_hand(example):
    unigrams = np.array([0.5, 0.25, 0.125, 0.0625, 0.0625])
    # Nothing is known after 3, and of the context "4 3" not even the first token.
    for context in ([3], [4, 3], [2, 4, 3]):
        probabilities, backoffs = example.look_up(context)
        assert probabilities.tolist() == unigrams.tolist() and backoffs.tolist() == [1, 1]
    # After 0 the tokens 1 and 3 have shares of 0.5 and 0.25, so a quarter is left.
    after_0 = unigrams / 4 + [0, 0.5, 0, 0.25, 0]
    probabilities, backoffs = example.look_up([4, 0])
    assert probabilities.tolist() == after_0.tolist() and backoffs.tolist() == [0.25, 1]
    # After the end and 0 the shares of 1 and 4 are 0.5 and 0.75: more than 1, so 0.0001 is left for the others.
    probabilities, backoffs = example.look_up([0])
    expected = (np.array([0, 0.5, 0, 0, 0.75]) + 1e-4 * after_0) / (1.25 + 1e-4)
    np.testing.assert_allclose(probabilities, expected, rtol=1e-6)
    np.testing.assert_allclose(backoffs, [0.25, 1e-4 / 1.2501], rtol=1e-6)


@pytest.mark.parametrize("token_ids", [[], [0], [1], [0, 1], [4, 0, 1]])
def test_an_end_token_before_the_text_changes_nothing(example, token_ids):
    assert example.probabilities(token_ids).tolist() == example.probabilities([EOS, *token_ids]).tolist()
    assert np.array_equal(example.probabilities(np.array(token_ids)), example.probabilities(token_ids))


def test_only_the_last_tokens_count(example):
    assert example.probabilities([3, 3, 0, 1]).tolist() == example.probabilities([4, 0, 1]).tolist()
    # Here 0 is not the beginning of the text, so the context "2 0" is not used.
    assert example.probabilities([3, 0]).tolist() != example.probabilities([0]).tolist()


def test_several_contexts_at_once(example):
    contexts = [[], [0], [0, 1], [3, 0, 1], [3]]
    probabilities, backoffs = example.look_up_all(contexts)
    assert probabilities.dtype == backoffs.dtype == np.float32
    for i, context in enumerate(contexts):
        one = example.look_up(context)
        assert np.array_equal(probabilities[i], one[0]) and np.array_equal(backoffs[i], one[1])
    empty = example.look_up_all([])
    assert empty[0].shape == (0, 5) and empty[1].shape == (0, 2)


@pytest.mark.parametrize("token", [-1, 5])
def test_an_unknown_token_is_refused(example, token):
    with pytest.raises(ValueError, match="must be from 0 to 4"):
        example.probabilities([0, token])


def test_a_model_of_single_tokens(tmp_path):
    arrays = {"probabilities_1": np.full(5, 0.2, dtype=np.float32)}
    (tmp_path / "ngrams.bin").write_bytes(save(arrays, METADATA | {"order": "1"}))
    probabilities, backoffs = NgramFile(tmp_path / "ngrams.bin").look_up([3, 4])
    assert probabilities.tolist() == arrays["probabilities_1"].tolist() and backoffs.shape == (0,)


def test_reading_needs_numpy_alone(tmp_path):
    code = (
        "import sys; from src.deploy.ngram_file import NgramFile; "
        "print(NgramFile(sys.argv[1]).probabilities([0]).argmax()); "
        "assert not {'torch', 'transformers', 'pandas', 'safetensors'} & set(sys.modules)"
    )
    command = [sys.executable, "-c", code, str(written(tmp_path / "ngrams.bin"))]
    completed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert completed.stdout == "4\n", completed.stderr


# A trie of any shape


@st.composite
def tries(draw, vocab_size=150):
    """Arrays of a model of order 3 or 4, and its n-grams: {tokens: share}."""
    order, rng = draw(st.integers(2, 4)), np.random.default_rng(draw(st.integers(0, 1_000)))
    books = {length: rng.uniform(0, 0.02, 256).astype(np.float32) for length in range(2, order + 1)}
    unigrams = rng.dirichlet(np.ones(vocab_size)) + 1e-9
    unigrams = (unigrams / unigrams.sum()).astype(np.float32)
    arrays, ngrams, contexts = {"probabilities_1": unigrams}, {}, [(token,) for token in range(vocab_size)]
    for length, book in books.items():
        children = [np.flatnonzero(rng.random(vocab_size) < rng.choice([0, 0, 0.02, 0.2])) for _ in contexts]
        num_children = np.array([len(tokens) for tokens in children], dtype=np.int64)
        first = np.concatenate([[0], num_children.cumsum()])
        if length > 2:
            arrays[f"num_children_{length - 1}"] = num_children.astype(np.uint8)
            first = first[:-1:BLOCK]
        arrays[f"first_child_{length - 1}"] = first.astype(np.uint32)
        contexts = [(*context, int(token)) for context, tokens in zip(contexts, children) for token in tokens]
        shares = rng.integers(0, 256, len(contexts))
        arrays[f"tokens_{length}"] = np.array([context[-1] for context in contexts], dtype=np.uint16)
        arrays |= {f"shares_{length}": shares.astype(np.uint8), f"codebook_{length}": book}
        ngrams |= {context: float(book[share]) for context, share in zip(contexts, shares)}
    return arrays, METADATA | {"vocab_size": str(vocab_size), "order": str(order)}, ngrams


def by_definition(context, unigrams, ngrams):
    """p(token | context) for every token, by the recursive definition."""
    shorter = by_definition(context[1:], unigrams, ngrams) if context else unigrams.astype(np.float64)
    shares = {ngram[-1]: share for ngram, share in ngrams.items() if context and ngram[:-1] == context}
    if not shares:
        return shorter
    backoff = max(1 - sum(shares.values()), 1e-4)
    total = sum(shares.values()) + backoff
    return np.array([(shares.get(token, 0) + backoff * p) / total for token, p in enumerate(shorter)])


@examples(0.3)
@given(tries(), st.randoms(use_true_random=False))
def test_probabilities_equal_the_definition(tmp_path_factory, trie, rng):
    arrays, metadata, ngrams = trie
    path = tmp_path_factory.mktemp("trie") / "ngrams.bin"
    path.write_bytes(save(arrays, metadata))
    model, order = NgramFile(path), int(metadata["order"])
    known = [list(ngram) for ngram in rng.sample(sorted(ngrams), min(5, len(ngrams)))]
    for token_ids in [[], [0], [1, 2, 3, 4, 5], *known, *([9, *ngram] for ngram in known)]:
        context = (EOS, *token_ids)[1 - order :]
        expected = by_definition(context, arrays["probabilities_1"], ngrams)
        found = model.probabilities(token_ids)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-7)
        assert float(found.sum(dtype=np.float64)) == pytest.approx(1, abs=1e-5)


# Hostile files


def array(name, **values):
    """The array of the example with some values replaced, by index."""
    changed = example_arrays()[name].copy()
    for index, value in values.items():
        changed[int(index.removeprefix("at"))] = value
    return {name: changed}


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        (array("probabilities_1", at0=0.6), "probabilities_1 are no probabilities"),
        (array("probabilities_1", at0=np.nan), "probabilities_1 are no probabilities"),
        (array("probabilities_1", at3=0.125, at4=0), "probabilities_1 are no probabilities"),
        ({"probabilities_1": np.full(6, 1 / 6, np.float32)}, "probabilities_1 has 6 values"),
        ({"probabilities_1": np.full(5, 0.2)}, "probabilities_1 is no F32"),
        ({"probabilities_1": np.full((5, 1), 0.2, np.float32)}, "probabilities_1 has no shape"),
        ({"tokens_3": None}, "tokens_3 is no U16"),
        ({"tokens_4": np.zeros(3, np.uint16)}, "its arrays do not fill it"),
        (array("codebook_2", at200=np.inf), "codebook_2 has values outside 0 to 1"),
        (array("codebook_2", at200=np.nan), "codebook_2 has values outside 0 to 1"),
        (array("codebook_3", at0=-0.1), "codebook_3 has values outside 0 to 1"),
        ({"codebook_3": np.zeros(255, np.float32)}, "codebook_3 has 255 values"),
        ({"shares_2": np.zeros(4, np.uint8)}, "shares_2 has another length than tokens_2"),
        ({"num_children_2": np.array([1, 0, 0, 2], np.uint8)}, "num_children_2 has another length than tokens_2"),
        (array("first_child_1", at0=1), "the children of level 1 are not the nodes of level 2"),
        (array("first_child_1", at1=4), "the children of level 1 are not the nodes of level 2"),
        (array("first_child_1", at5=6), "the children of level 1 are not the nodes of level 2"),
        (array("num_children_2", at1=1), "the children of level 2 are not the nodes of level 3"),
        (array("first_child_2", at0=1), "first_child_2 contradicts num_children_2"),
        ({"first_child_2": np.zeros(2, np.uint32)}, "first_child_2 contradicts num_children_2"),
        (array("tokens_2", at4=5), "tokens_2 are not all in the vocabulary"),
        (array("tokens_2", at0=3), "tokens_2 are not in order"),
        (array("tokens_3", at1=4), "tokens_3 are not in order"),
    ],
)
def test_wrong_arrays_are_refused(tmp_path, changed, what):
    with pytest.raises(NgramFileError, match=rf"ngrams\.bin is no readable n-gram model \({what}.*\): export the run"):
        NgramFile(written(tmp_path / "ngrams.bin", **changed))


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"format": "pt"}, "it is no such file"),
        ({"format": None}, "it is no such file"),
        ({"version": "2"}, "its version is '2', this program reads '1'"),
        ({"version": None}, "its version is None"),
        ({"vocab_size": "65537"}, "vocab_size is '65537'"),
        ({"vocab_size": "-5"}, "vocab_size is '-5'"),
        ({"vocab_size": "²"}, "vocab_size is '²'"),
        ({"vocab_size": "6"}, "probabilities_1 has 5 values"),
        ({"order": "0"}, "order or eos_id is out of range"),
        ({"order": "2"}, "its arrays do not fill it"),
        ({"order": "4"}, "tokens_4 is no U16"),
        ({"order": "9" * 5_000}, "order is"),
        ({"eos_id": "5"}, "order or eos_id is out of range"),
        ({"eos_id": None}, "eos_id is 'None'"),
    ],
)
def test_wrong_metadata_is_refused(tmp_path, changed, what):
    with pytest.raises(NgramFileError) as error:
        NgramFile(written(tmp_path / "ngrams.bin", METADATA | changed))
    assert f"({what}" in str(error.value) and len(str(error.value)) < 300


def with_header(path, change):
    """The example with another header; `change` gets the parsed header and returns an object or bytes."""
    content = written(path).read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = change(json.loads(content[8 : 8 + size]))
    header = header if isinstance(header, bytes) else json.dumps(header).encode()
    header += b" " * (-len(header) % 8)
    path.write_bytes(len(header).to_bytes(8, "little") + header + content[8 + size :])
    return path


def moved(name, **entry):
    return lambda header: header | {name: header[name] | entry}


@pytest.mark.parametrize(
    "change",
    [
        lambda header: b"{",
        lambda header: b"[]",
        lambda header: b"\xff\xfe",
        lambda header: b"[" * 50_000,
        lambda header: {name: value for name, value in header.items() if name != "__metadata__"},
        lambda header: header | {"__metadata__": []},
        lambda header: header | {"tokens_2": []},
        lambda header: header | {"another": header["tokens_2"]},
        moved("tokens_2", data_offsets=[0, 10]),
        moved("tokens_2", data_offsets=[-10, 0]),
        moved("tokens_2", data_offsets=[10**30, 10**30 + 10]),
        moved("tokens_2", data_offsets=[1_000_000, 1_000_010]),
        moved("tokens_2", data_offsets=[10, 0]),
        moved("tokens_2", data_offsets=[0]),
        moved("tokens_2", data_offsets=None),
        moved("tokens_2", data_offsets=[0.0, 10.0]),
        moved("tokens_2", shape=[10**30]),
        moved("tokens_2", shape=[True]),
        moved("tokens_2", shape=[]),
        moved("tokens_2", dtype="U8"),
        moved("tokens_2", dtype=["U16"]),
        moved("shares_2", shape=[4]),
    ],
)
def test_wrong_headers_are_refused(tmp_path, change):
    with pytest.raises(NgramFileError, match="is no readable n-gram model"):
        NgramFile(with_header(tmp_path / "ngrams.bin", change))


def test_an_array_that_is_not_aligned_is_refused(tmp_path):
    path = written(tmp_path / "ngrams.bin")
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little") + 1
    path.write_bytes(size.to_bytes(8, "little") + content[8 : 7 + size] + b" " + content[7 + size :])
    with pytest.raises(NgramFileError, match="is not where it should be"):
        NgramFile(path)


def test_every_beginning_of_a_file_is_refused(tmp_path):
    content = written(tmp_path / "ngrams.bin").read_bytes()
    for size in [*range(16), *range(16, len(content), 7), len(content) - 1]:
        (tmp_path / "cut.bin").write_bytes(content[:size])
        with pytest.raises(NgramFileError):
            NgramFile(tmp_path / "cut.bin")
    (tmp_path / "longer.bin").write_bytes(content + b"\0")
    with pytest.raises(NgramFileError, match="its arrays do not fill it"):
        NgramFile(tmp_path / "longer.bin")


def test_a_header_of_any_length_is_refused_at_once(tmp_path):
    content = written(tmp_path / "ngrams.bin").read_bytes()
    for size in (0, 1, 2**32, 2**64 - 1):
        (tmp_path / "other.bin").write_bytes(size.to_bytes(8, "little") + content[8:])
        with pytest.raises(NgramFileError, match="it is no such file"):
            NgramFile(tmp_path / "other.bin")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"ngrams\.bin"):
        NgramFile(tmp_path / "ngrams.bin")


@examples(3.0)
@given(st.data())
def test_changed_bytes_give_an_error_or_a_distribution(tmp_path_factory, data):
    path = written(tmp_path_factory.mktemp("changed") / "ngrams.bin")
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        model = NgramFile(path)
    except NgramFileError:
        return
    for context in ([], [0], [0, 1], [1, 4], [3, 0, 1]):
        probabilities, backoffs = model.look_up(context)
        assert np.isfinite(probabilities).all() and (probabilities >= 0).all()
        assert float(probabilities.sum(dtype=np.float64)) == pytest.approx(1, abs=1e-4)
        assert ((backoffs > 0) & (backoffs <= 1)).all()


def test_tools_for_safetensors_open_it(tmp_path):
    arrays = load_file(written(tmp_path / "ngrams.bin"))
    assert arrays["tokens_2"].tolist() == [1, 3, 4, 0, 1]
