"""N-gram files: the same probabilities as the torch model, no larger than asked for, and complete or absent."""

import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file

from src.corpus.tokenization import train_tokenizer
from src.deploy.ngram_export import fixed_bytes, load_ngrams, read_levels, write_merged_file, write_ngram_file
from src.deploy.ngram_file import NgramFile, NgramFileError
from src.models.kneser_ney import KneserNeyLM
from src.models.ngram_counts import NgramLevel, ngram_levels
from src.models.ngram_merging import merge
from src.next_token_dataset import NextTokenDataset
from tests.budget import examples

ROOT = Path(__file__).resolve().parents[2]
TOKENIZER = train_tokenizer(["a"], vocab_size=75)
VOCAB_SIZE, PAD, EOS = len(TOKENIZER), TOKENIZER.pad_token_id, TOKENIZER.eos_token_id
TEXTS = st.lists(st.lists(st.sampled_from("abcd"), min_size=1, max_size=8).map(" ".join), min_size=1, max_size=30)


def dataset_of(texts):
    return NextTokenDataset(texts, TOKENIZER, EOS)


def write(path, texts, order, max_bytes=None):
    return write_ngram_file(path, ngram_levels(dataset_of(texts), VOCAB_SIZE, EOS, order), EOS, max_bytes)


def prefixes_of(texts):
    """Every beginning of some texts, as token ids after the end token, and one that no text has."""
    ids = [[EOS, *TOKENIZER(text, add_special_tokens=False)["input_ids"]] for text in texts[:5]]
    return [one[:end] for one in ids for end in range(1, len(one) + 1)] + [[EOS, 70, 71, *ids[0][1:]]]


@torch.no_grad()
def torch_probabilities(model, token_ids):
    output = model(torch.tensor([token_ids]), logits_to_keep=1)
    return output.logits[0, -1].exp().numpy(), output.context[0, -1].numpy()


@examples(0.4)
@given(TEXTS, st.integers(1, 4), st.integers(0, 1500))
def test_the_torch_model_and_the_file_give_the_same_probabilities(tmp_path_factory, texts, order, num_bytes):
    path, max_bytes = tmp_path_factory.mktemp("ngrams") / "ngrams.bin", fixed_bytes(order, VOCAB_SIZE) + num_bytes
    write(path, texts, order, max_bytes)
    assert path.stat().st_size <= max_bytes
    file, model = NgramFile(path), load_ngrams(path, PAD)
    for token_ids in prefixes_of(texts):
        probabilities, context = file.look_up(token_ids)
        expected, expected_context = torch_probabilities(model, token_ids)
        np.testing.assert_allclose(probabilities, expected, rtol=1e-3, atol=1e-6)
        np.testing.assert_allclose(context, expected_context, rtol=1e-3, atol=1e-6)
        assert float(probabilities.sum(dtype=np.float64)) == pytest.approx(1, abs=1e-5)
        assert (probabilities > 0).all()


@examples(0.3)
@given(TEXTS, st.integers(1, 4))
def test_without_pruning_it_is_the_counted_model_but_for_rounding(tmp_path_factory, texts, order):
    path = write(tmp_path_factory.mktemp("ngrams") / "ngrams.bin", texts, order)
    model = KneserNeyLM.from_dataset(dataset_of(texts), VOCAB_SIZE, PAD, EOS, order)
    rounded = load_ngrams(path, PAD)
    assert rounded.config.num_ngrams == model.config.num_ngrams and torch.equal(rounded.codes, model.codes)
    for token_ids in prefixes_of(texts):
        expected, found = torch_probabilities(model, token_ids)[0], NgramFile(path).probabilities(token_ids)
        np.testing.assert_allclose(found, expected, atol=0.03)
        assert (expected * np.log(expected / found)).sum() < 0.003


def test_the_file_by_hand(tmp_path):
    # The fallback's discounts are 0.5 of 1 and 1 of 2.
    arrays = load_file(write(tmp_path / "ngrams.bin", ["a b", "a b", "a c"], order=2))
    a, b, c = TOKENIZER.convert_tokens_to_ids(["a", "b", "c"])
    tokens, first = arrays["tokens_2"], arrays["first_child_1"]
    shares = arrays["codebook_2"][arrays["shares_2"]]
    assert tokens[first[a] : first[a + 1]].tolist() == [b, c]
    np.testing.assert_allclose(shares[first[a] : first[a + 1]], [(2 - 1) / 3, (1 - 0.5) / 3], rtol=0.02)
    # a begins all three texts, so 3 - 1.5 of 3.
    assert tokens[first[EOS] : first[EOS + 1]].tolist() == [a]
    np.testing.assert_allclose(shares[first[EOS]], 0.5, rtol=0.02)
    assert len(tokens) == first[-1] == 5


def test_at_most_255_tokens_follow_a_longer_context(tmp_path):
    vocab_size, num_tokens = 400, 300
    none = np.zeros(0, dtype=np.int32)
    # After the end comes 5, and then one of 300 tokens, the later ones more often. No text ends.
    tokens = np.arange(10, 10 + num_tokens, dtype=np.int32)
    unigrams = np.zeros(vocab_size, dtype=np.int64)
    unigrams[[5, *tokens]] = 1
    occurrences = np.arange(1, num_tokens + 1)
    levels = [
        NgramLevel(np.arange(vocab_size, dtype=np.int32), unigrams, none, none),
        NgramLevel(np.r_[5, tokens].astype(np.int32), np.r_[occurrences.sum(), occurrences], *two_levels(tokens)),
        NgramLevel(tokens, occurrences, np.zeros_like(tokens), np.arange(1, num_tokens + 1, dtype=np.int32)),
    ]
    file = NgramFile(write_ngram_file(tmp_path / "ngrams.bin", levels, eos_id=2))
    assert len(file.levels[0].tokens) == 1 + num_tokens
    assert file.levels[1].tokens.tolist() == tokens[-255:].tolist()


def two_levels(tokens):
    """Parents and suffixes of "2 5" and of the n-grams "5 token"."""
    parents = np.r_[2, np.full(len(tokens), 5)].astype(np.int32)
    return parents, np.r_[5, tokens].astype(np.int32)


def test_the_same_counts_give_the_same_bytes(tmp_path):
    texts = ["a b c", "a b", "b c a"] * 3
    first, second = (write(tmp_path / name, texts, 3).read_bytes() for name in ("first.bin", "second.bin"))
    assert first == second


def test_writing_and_reading_print_nothing_but_progress(tmp_path, capsys):
    load_ngrams(write(tmp_path / "ngrams.bin", ["a b c", "a b"], 3))
    assert capsys.readouterr().out == ""


def test_too_few_bytes_are_refused(tmp_path):
    with pytest.raises(ValueError, match="max_bytes is 1000: with single tokens alone the file takes"):
        write(tmp_path / "ngrams.bin", ["a b"], 3, max_bytes=1_000)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_file_is_not_loaded(tmp_path):
    path = write(tmp_path / "ngrams.bin", ["a b"], 3)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(NgramFileError, match=r"ngrams\.bin is no readable n-gram model"):
        load_ngrams(path)


@pytest.mark.parametrize(("order", "vocab_size"), [(2, 2**16 + 1), (17, 10)])
def test_what_the_format_can_not_hold_is_refused(tmp_path, order, vocab_size):
    levels = ngram_levels(dataset_of(["a b"]), max(vocab_size, VOCAB_SIZE), EOS, order)
    with pytest.raises(ValueError, match="the file holds n-grams of up to 16 tokens over a vocabulary of 65536"):
        write_ngram_file(tmp_path / "ngrams.bin", levels, EOS)


# Merging with another file


def counted(texts, order):
    return ngram_levels(dataset_of(texts), VOCAB_SIZE, EOS, order)


@examples(0.3)
@given(TEXTS, TEXTS, st.integers(1, 4), st.integers(0, 300))
def test_a_merged_file_fits_and_gives_distributions(tmp_path_factory, texts, own_texts, order, num_bytes):
    folder = tmp_path_factory.mktemp("ngrams")
    first = NgramFile(write(folder / "first.bin", texts, order))
    levels = counted(own_texts, order)
    max_bytes = write_merged_file(folder / "none.bin", first, levels).stat().st_size
    max_bytes = max(
        max_bytes - num_bytes, fixed_bytes(order, VOCAB_SIZE) + 5 * sum(len(i.tokens) for i in first.levels)
    )
    path = write_merged_file(folder / "merged.bin", first, levels, max_bytes)
    assert path.stat().st_size <= max_bytes
    file, model = NgramFile(path), load_ngrams(path, PAD)
    for token_ids in prefixes_of(texts) + prefixes_of(own_texts):
        probabilities, context = file.look_up(token_ids)
        expected, expected_context = torch_probabilities(model, token_ids)
        np.testing.assert_allclose(probabilities, expected, rtol=1e-3, atol=1e-6)
        np.testing.assert_allclose(context, expected_context, rtol=1e-3, atol=1e-6)
        assert float(probabilities.sum(dtype=np.float64)) == pytest.approx(1, abs=1e-5)
        assert (probabilities > 0).all()


def test_the_merged_file_holds_the_merged_shares(tmp_path):
    first = NgramFile(write(tmp_path / "first.bin", ["a b c d", "a b d", "c a b"], 3))
    levels = counted(["a b a", "d c"], 3)
    found = read_levels(NgramFile(write_merged_file(tmp_path / "merged.bin", first, levels, prior=2)))
    for level, expected in zip(found, merge(read_levels(first), levels, prior=2), strict=True):
        assert level.tokens.tolist() == expected.tokens.tolist()
        assert level.parents.tolist() == expected.parents.tolist()
        np.testing.assert_allclose(level.shares, expected.shares, rtol=0.02)


def test_without_own_texts_the_file_is_the_first_one(tmp_path):
    first = NgramFile(write(tmp_path / "first.bin", ["a b c", "b c a", "c"] * 3, 3))
    merged = NgramFile(write_merged_file(tmp_path / "merged.bin", first, counted([], 3)))
    for token_ids in prefixes_of(["a b c", "b c a", "c d"]):
        np.testing.assert_allclose(merged.probabilities(token_ids), first.probabilities(token_ids), rtol=1e-5)


def test_with_little_space_the_first_ngrams_stay_and_common_ones_are_free(tmp_path):
    first = NgramFile(write(tmp_path / "first.bin", ["a b c", "b c d"], 3))
    # "d a" is new, "a b" is not.
    levels = counted(["a b c d a"] * 5, 3)
    with pytest.raises(ValueError, match=r"max_bytes is 1500: the n-grams of .*first\.bin alone take (\d+)") as error:
        write_merged_file(tmp_path / "merged.bin", first, levels, 1_500)
    least = int(str(error.value).split()[-1])
    merged = NgramFile(write_merged_file(tmp_path / "merged.bin", first, levels, least))
    assert [level.tokens.tolist() for level in merged.levels] == [level.tokens.tolist() for level in first.levels]
    a, b, c, d = TOKENIZER.convert_tokens_to_ids(["a", "b", "c", "d"])
    assert merged.probabilities([EOS, a])[b] != pytest.approx(first.probabilities([EOS, a])[b], rel=1e-3)
    everything = NgramFile(write_merged_file(tmp_path / "merged.bin", first, levels))
    assert everything.probabilities([EOS, c, d])[a] > 5 * merged.probabilities([EOS, c, d])[a]


def test_of_two_models_the_255_most_probable_tokens_follow_a_longer_context(tmp_path):
    def of(tokens, occurrences):
        none, vocab_size = np.zeros(0, dtype=np.int32), 400
        unigrams = np.bincount([5, *tokens], minlength=vocab_size)
        pairs = np.r_[occurrences.sum(), occurrences]
        return [
            NgramLevel(np.arange(vocab_size, dtype=np.int32), unigrams, none, none),
            NgramLevel(np.r_[5, tokens].astype(np.int32), pairs, *two_levels(tokens)),
            NgramLevel(tokens, occurrences, np.zeros_like(tokens), np.arange(1, len(tokens) + 1, dtype=np.int32)),
        ]

    # After "2 5", the first model knows 200 tokens, and the person used 200 others, the last of them most.
    first_tokens, own_tokens = np.arange(10, 210, dtype=np.int32), np.arange(210, 395, dtype=np.int32)
    first_path = write_ngram_file(tmp_path / "first.bin", of(first_tokens, np.full(200, 3)), eos_id=2)
    own = of(own_tokens, np.arange(1, 186))
    path = write_merged_file(tmp_path / "merged.bin", NgramFile(first_path), own, prior=own[2].occurrences.sum())
    tokens = NgramFile(path).levels[1].tokens
    shares = merge(read_levels(NgramFile(first_path)), own, prior=own[2].occurrences.sum())[2]
    assert len(tokens) == 255
    assert set(tokens.tolist()) == set(shares.tokens[np.argsort(-shares.shares, kind="stable")[:255]].tolist())


def test_counts_of_another_order_or_vocabulary_are_refused(tmp_path):
    first = NgramFile(write(tmp_path / "first.bin", ["a b"], 3))
    with pytest.raises(
        ValueError, match=rf"first\.bin and the counts have order 3 over {VOCAB_SIZE} tokens and order 2"
    ):
        write_merged_file(tmp_path / "merged.bin", first, counted(["a"], 2))
    larger = ngram_levels(dataset_of(["a"]), VOCAB_SIZE + 1, EOS, 3)
    with pytest.raises(
        ValueError, match=f"order 3 over {VOCAB_SIZE + 1} tokens: count with its order and its tokenizer"
    ):
        write_merged_file(tmp_path / "merged.bin", first, larger)


# Full disks and killed processes


WRITE = (
    "import signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
    "from tests.deploy.test_ngram_export import write; write(sys.argv[1], ['a b c d'] * 9, 4)"
)


def in_new_process(code, path, **options):
    command = [sys.executable, "-B", "-c", code, str(path)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, **options)


def test_on_a_full_disk_the_previous_file_is_unchanged(tmp_path):
    path = write(tmp_path / "ngrams.bin", ["a b"], 2)
    before = path.read_bytes()
    limit = 1_000
    completed = in_new_process(
        WRITE, path, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    )
    assert "ngrams.bin can't be written, the disk is full: free some space" in completed.stderr
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_killed_while_writing_it_leaves_no_incomplete_file(tmp_path):
    path = tmp_path / "ngrams.bin"
    killed = "import os, src.files; src.files.flush_to_disk = lambda path: os.kill(os.getpid(), 9); "
    assert in_new_process(killed + WRITE, path).returncode == -9
    assert not path.exists()
    assert NgramFile(write(path, ["a b c d"] * 9, 4)).order == 4
