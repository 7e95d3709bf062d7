"""The record of read texts: none is missed, few others count as read, and a damaged file is refused in one sentence."""

import random
import re
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from benchmarks.quality.seen_texts import contained_shares
from src.corpus.load import Corpus
from src.data_utils import prepare_tweets
from src.evaluation.seen_texts import MIN_BYTES, SeenTexts, load_seen_texts
from src.evaluation.selection import NUM_VAL_TWEETS
from src.runs import SEEN_TEXTS_FILE, RunError, read_meta
from src.text.cleaning import CLEANING_VERSION

COMMITTED_RUN = Path(__file__).resolve().parents[2] / "models" / "lstm_lm-20261127-102352"
texts_of = st.lists(st.text(max_size=20), max_size=30)


def random_texts(number, seed):
    rng = random.Random(seed)
    return [f"{rng.getrandbits(64):x} {rng.getrandbits(64):x}" for _ in range(number)]


@given(texts=texts_of, of_first=texts_of)
def test_no_text_that_was_read_is_missed(texts, of_first):
    seen = SeenTexts.of(texts, SeenTexts.of(of_first))
    found = seen.contain(texts + of_first)
    assert found.dtype == bool and found.shape == (len(texts + of_first),)
    assert found.all() and seen.before.contain(of_first).all()


@pytest.mark.parametrize("number", [1, 50, 800, 1_000, 20_000])
def test_few_other_texts_count_as_read(number):
    seen = SeenTexts.of(random_texts(number, seed=0))
    assert seen.contain(random_texts(50_000, seed=1)).mean() < 0.01


def test_a_text_takes_ten_bits_and_sets_seven_of_them():
    [packed] = SeenTexts.of(random_texts(20_000, seed=0)).filters
    assert packed.dtype == np.uint8 and packed.shape == (25_000,)
    # Each bit stays 0 with probability (1 - 1 / bits) ** (7 * texts).
    assert np.unpackbits(packed).mean() == pytest.approx(1 - np.exp(-0.7), abs=0.01)
    [packed] = SeenTexts.of(["good morning"]).filters
    assert np.unpackbits(packed).sum() == 7


def test_a_filter_has_room_for_all_texts():
    # 8,193 bits do not fill their last byte.
    assert [len(SeenTexts.of(map(str, range(n))).filters[0]) for n in (0, 819, 820)] == [MIN_BYTES, MIN_BYTES, 1_025]


def test_the_own_texts_and_those_of_earlier_runs_are_apart():
    oldest, older, own = (random_texts(100, seed) for seed in range(3))
    seen = SeenTexts.of(own, SeenTexts.of(older, SeenTexts.of(oldest)))
    assert seen.contain(own + older + oldest).all()
    assert seen.before.contain(older + oldest).all() and seen.before.contain(own).mean() < 0.1
    assert seen.before.before.contain(oldest).all() and seen.before.before.contain(own + older).mean() < 0.1


def test_nothing_was_read_before_a_run_from_random_weights(cleaned_texts):
    before = SeenTexts.of(cleaned_texts).before
    assert not before.contain(cleaned_texts).any()
    assert SeenTexts.of(cleaned_texts, before).contain(cleaned_texts).all()


@pytest.mark.parametrize("texts", [[], ["good morning"]])
def test_empty_lists(texts):
    assert SeenTexts.of([]).contain(texts).tolist() == [False] * len(texts)
    assert SeenTexts.of(texts).contain([]).shape == (0,)


def test_a_saved_record_is_read_back(tmp_path):
    texts = [random_texts(2_000, seed) for seed in range(12)]
    seen = None
    for own in texts:
        seen = SeenTexts.of(own, seen)
    seen.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["training_texts.safetensors"]
    assert load_file(tmp_path / SEEN_TEXTS_FILE).keys() == {str(i) for i in range(12)}
    loaded = load_seen_texts(tmp_path)
    for own in reversed(texts):  # the newest first
        assert np.array_equal(loaded.filters[0], SeenTexts.of(own).filters[0])
        loaded = loaded.before
    assert loaded.filters == ()


def test_no_text_can_be_read_from_the_file(tmp_path):
    SeenTexts.of(["good morning everyone"]).save(tmp_path)
    content = (tmp_path / SEEN_TEXTS_FILE).read_bytes()
    assert not [word for word in (b"good", b"morning", b"everyone") if word in content]


@given(texts=texts_of, seed=st.integers(0, 100))
def test_the_same_texts_in_any_order_give_the_same_bytes(tmp_path_factory, texts, seed):
    folders = [tmp_path_factory.mktemp("run") for _ in range(2)]
    SeenTexts.of(texts).save(folders[0])
    # Another order, and a text twice.
    SeenTexts.of(random.Random(seed).sample(texts, len(texts)) + texts[:1]).save(folders[1])
    first, second = ((folder / SEEN_TEXTS_FILE).read_bytes() for folder in folders)
    assert first == second


@pytest.mark.parametrize("text", ["good morning", "", "café"])
def test_a_text_sets_the_bits_of_double_hashing(text):
    """Committed records must stay readable, so the bits of a text never change."""
    digest = blake2b(text.encode("utf-8"), digest_size=16).digest()
    start, step = (int.from_bytes(half, "little") for half in (digest[:8], digest[8:]))
    expected = {(start + i * step) % (8 * MIN_BYTES) for i in range(7)}
    [packed] = SeenTexts.of([text]).filters
    assert {i for i in range(8 * MIN_BYTES) if packed[i // 8] >> i % 8 & 1} == expected


# Damage


def refused(run_dir, sentence):
    with pytest.raises(RunError) as error:
        load_seen_texts(run_dir)
    path = re.escape(str(run_dir / SEEN_TEXTS_FILE))
    assert re.fullmatch(sentence.format(path=path, run_dir=re.escape(str(run_dir))), str(error.value))


@pytest.mark.parametrize("size", [0, 5, 100, -1])
def test_a_truncated_file_is_refused(tmp_path, size):
    SeenTexts.of(["good morning"]).save(tmp_path)
    path = tmp_path / SEEN_TEXTS_FILE
    path.write_bytes(path.read_bytes()[:size])
    refused(tmp_path, r"{path} can't be read \(.+\): restore the file")


def test_a_folder_in_place_of_the_file_is_refused(tmp_path):
    (tmp_path / SEEN_TEXTS_FILE).mkdir()
    refused(tmp_path, r"{path} can't be read \(.+\): restore the file")


@pytest.mark.parametrize("folder", [".", "missing"])
def test_a_missing_file_is_named(tmp_path, folder):
    refused(
        tmp_path / folder,
        "{run_dir} has no training_texts.safetensors, so nobody knows which texts this run has read: "
        "choose another run or train this one again",
    )


@pytest.mark.parametrize(
    "metadata, version", [({"cleaning": "1"}, "1"), ({"cleaning": ""}, ""), ({}, "unknown"), (None, "unknown")]
)
def test_another_version_of_the_cleaning_is_refused(tmp_path, metadata, version):
    save_file({"0": np.zeros(MIN_BYTES, np.uint8)}, tmp_path / SEEN_TEXTS_FILE, metadata)
    refused(
        tmp_path,
        f"{{path}} holds texts of cleaning version {version}, but this code has version {CLEANING_VERSION}: "
        "choose another run or train this one again",
    )


@pytest.mark.parametrize(
    "tensor, problem",
    [
        (np.zeros(MIN_BYTES, np.float32), r"is F32 with shape \[1024\], not U8 and at least 1024 bytes"),
        (np.zeros(MIN_BYTES, np.int8), r"is I8 with shape \[1024\], not U8 and at least 1024 bytes"),
        (np.zeros((MIN_BYTES, 2), np.uint8), r"is U8 with shape \[1024, 2\], not U8 and at least 1024 bytes"),
        (np.zeros(MIN_BYTES - 1, np.uint8), r"is U8 with shape \[1023\], not U8 and at least 1024 bytes"),
        (np.zeros(0, np.uint8), r"is U8 with shape \[0\], not U8 and at least 1024 bytes"),
        (np.full(MIN_BYTES, 255, np.uint8), "has 100% of its bits set, too many"),
        (np.zeros(MIN_BYTES, np.uint8), "has none of its bits set"),
    ],
)
def test_a_tensor_that_is_no_filter_is_refused(tmp_path, tensor, problem):
    tensors = {"0": np.ones(MIN_BYTES, np.uint8), "1": tensor}
    save_file(tensors, tmp_path / SEEN_TEXTS_FILE, {"cleaning": str(CLEANING_VERSION)})
    path = re.escape(str(tmp_path / SEEN_TEXTS_FILE))
    with pytest.raises(RunError, match=rf"tensor 1 of {path} {problem}: restore the file"):
        load_seen_texts(tmp_path)


@pytest.mark.parametrize("names", [(), ("1",), ("0", "2"), ("0", "weights"), ("0", "01")])
def test_other_names_of_tensors_are_refused(tmp_path, names):
    tensors = {name: np.zeros(MIN_BYTES, np.uint8) for name in names}
    save_file(tensors, tmp_path / SEEN_TEXTS_FILE, {"cleaning": str(CLEANING_VERSION)})
    refused(tmp_path, "{path} lacks the texts of a run: restore the file")


# What a record contains of a corpus


def test_the_shares_of_the_splits_are_measured(tmp_path, made_up_tweets):
    table = pd.DataFrame({"text": made_up_tweets, "user": "", "date": ""}, dtype="str")
    corpus = Corpus("made-up", "made.csv", "abc", table, bad_rows=())
    tweets = prepare_tweets(corpus, seed=0)
    SeenTexts.of(tweets.texts("train") + tweets.texts("val")[:20]).save(tmp_path)
    rows = {row["split"]: row for row in contained_shares(tmp_path, tweets)}
    assert {split: row["texts"] for split, row in rows.items()} == {"train": 320, "val": 40, "test": 40}
    assert rows["train"]["contained"] == 1 and rows["test"]["contained"] < 0.1
    assert 0.5 <= rows["val"]["contained"] < 0.6


def test_the_committed_run_has_a_record_of_all_texts_that_it_has_read():
    counts = read_meta(COMMITTED_RUN)["data"]["counts"]
    seen = load_seen_texts(COMMITTED_RUN)
    [packed] = seen.filters
    # The number of texts that set so many bits.
    num_texts = -8 * len(packed) / 7 * np.log1p(-np.unpackbits(packed).mean())
    assert num_texts == pytest.approx(counts["train"] + NUM_VAL_TWEETS, rel=0.01)
    assert seen.contain(random_texts(50_000, seed=0)).mean() < 0.01
