"""Behaviour of the next-token dataset: items, mask, padding, memory-mapped files."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch.utils.data import BatchSampler
from transformers import PreTrainedTokenizerFast

from src import next_token_dataset
from src.data_utils import split_x_target_by_words
from src.next_token_dataset import IGNORE_INDEX, NextTokenDataset, collate_batch
from src.training.batches import SimilarLengthSampler, unmask_context

EOS = 2


@pytest.fixture(scope="module", params=[False, True], ids=["as_is", "space_before"])
def byte_level(request, cleaned_texts):
    """A byte-level BPE tokenizer like GPT-2's, with one token for both pad and end."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=request.param)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=350, special_tokens=["<end>"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(cleaned_texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>", pad_token="<end>")


def make_item(ids, eos_id=EOS, **more):
    """The item of a tweet with these tokens."""
    ids = torch.tensor([*ids, eos_id])
    return {"input_ids": ids[:-1], "labels": ids[1:], **more}


def trained_labels(item):
    """The labels of an item that are not masked after collating."""
    labels = collate_batch([item])["labels"][0]
    return labels[labels != IGNORE_INDEX].tolist()


def assert_same_items(first, second):
    assert len(first) == len(second)
    for a, b in zip(first, second):
        assert a.keys() == b.keys()
        assert all(np.array_equal(a[name], b[name]) for name in a)


# Items


@pytest.mark.parametrize("context_unit", ["tokens", "words"])
def test_items_are_the_tokens_shifted_by_one(tokenizer, cleaned_texts, context_unit):
    dataset = NextTokenDataset(cleaned_texts, tokenizer, EOS, context_unit=context_unit)
    assert len(dataset) == len(cleaned_texts)
    for text, item, length in zip(cleaned_texts, dataset, dataset.lengths):
        ids = tokenizer(text)["input_ids"]
        assert item["input_ids"].tolist() == ids
        assert item["labels"].tolist() == [*ids[1:], EOS]
        assert item["input_ids"].dtype == item["labels"].dtype == torch.int64
        assert length == len(ids)


def test_items_hold_a_context_length_only_if_it_is_counted_in_words(tokenizer):
    assert NextTokenDataset(["so very happy"], tokenizer, EOS)[0].keys() == {"input_ids", "labels"}
    in_words = NextTokenDataset(["so very happy"], tokenizer, EOS, context_unit="words")[0]
    assert in_words["context_length"] == len(tokenizer("so very")["input_ids"])


def test_the_last_item_is_also_item_minus_one(tokenizer):
    dataset = NextTokenDataset(["the bus", "my dog"], tokenizer, EOS)
    assert torch.equal(dataset[-1]["input_ids"], dataset[1]["input_ids"])
    assert torch.equal(dataset[-2]["input_ids"], dataset[0]["input_ids"])


@pytest.mark.parametrize("index", [2, -3, 100])
def test_an_index_out_of_range_is_refused(tokenizer, index):
    with pytest.raises(IndexError, match=f"item {index} of a dataset of 2 texts"):
        NextTokenDataset(["the bus", "my dog"], tokenizer, EOS)[index]


def test_changing_an_item_does_not_change_the_dataset(tokenizer):
    dataset = NextTokenDataset(["the bus"], tokenizer, EOS)
    dataset[0]["input_ids"][:] = 7
    assert dataset[0]["input_ids"].tolist() == tokenizer("the bus")["input_ids"]


@pytest.mark.parametrize("empty", ["", "  "])
@pytest.mark.parametrize("context_unit", ["tokens", "words"])
def test_an_empty_text_is_refused_with_its_index(tokenizer, empty, context_unit):
    with pytest.raises(ValueError, match=rf"text 1 has no tokens \('{empty}'\)"):
        NextTokenDataset(["the bus", empty, "my dog"], tokenizer, EOS, context_unit=context_unit)


@pytest.mark.parametrize("context_unit", ["tokens", "words"])
def test_no_texts_make_an_empty_dataset(tokenizer, context_unit):
    dataset = NextTokenDataset([], tokenizer, EOS, context_unit=context_unit)
    assert len(dataset) == len(dataset.lengths) == 0
    with pytest.raises(IndexError, match="item 0 of a dataset of 0 texts"):
        dataset[0]


@pytest.mark.parametrize("max_len", [2, 3, 6, 20])
def test_max_len_keeps_the_last_tokens_and_the_end(tokenizer, cleaned_texts, max_len):
    dataset = NextTokenDataset(cleaned_texts, tokenizer, EOS, max_len)
    for text, item in zip(cleaned_texts, dataset):
        kept = [*tokenizer(text)["input_ids"], EOS][-max_len:]
        assert item["input_ids"].tolist() == kept[:-1]
        assert item["labels"].tolist() == kept[1:]


@pytest.mark.parametrize("max_len", [1, 0, -3])
def test_a_max_len_without_room_for_a_token_is_refused(tokenizer, max_len):
    with pytest.raises(ValueError, match=f"max_len is {max_len}, .* at least 2"):
        NextTokenDataset(["the bus"], tokenizer, EOS, max_len)


# Mask


@pytest.mark.parametrize(
    "ids, labels",
    [
        ([11], [EOS]),
        ([11, 12], [12, EOS]),
        ([11, 12, 13], [-100, 13, EOS]),
        ([11, 12, 13, 14], [-100, -100, 14, EOS]),
        ([11, 12, 13, 14, 15], [-100, -100, 14, 15, EOS]),
        ([11, 12, 13, 14, 15, 16, 17, 18], [-100, -100, -100, -100, -100, 17, 18, EOS]),
    ],
)
def test_the_mask_by_hand(ids, labels):
    batch = collate_batch([make_item(ids)])
    assert batch["input_ids"].tolist() == [ids]
    assert batch["labels"].tolist() == [labels]
    assert batch["lengths"].tolist() == [len(ids)]


@given(st.lists(st.integers(1, 40), min_size=1, max_size=6))
def test_labels_of_the_context_are_masked_in_every_batch(sizes):
    batch = collate_batch([make_item(range(100, 100 + n)) for n in sizes], pad_id=7)
    for row, n in enumerate(sizes):
        tokens = [*range(100, 100 + n), EOS]
        expected = [IGNORE_INDEX if i + 1 < 3 * n // 4 else tokens[i + 1] for i in range(n)]
        assert batch["labels"][row].tolist() == expected + [IGNORE_INDEX] * (max(sizes) - n)
        assert batch["input_ids"][row].tolist() == tokens[:-1] + [7] * (max(sizes) - n)
    assert batch["lengths"].tolist() == sizes
    assert {tensor.dtype for tensor in batch.values()} == {torch.int64}


def test_an_end_with_the_id_of_the_pad_is_trained_on_and_padding_is_not():
    batch = collate_batch([make_item([11, 12, 13, 14], eos_id=9), make_item([15], eos_id=9)], pad_id=9)
    assert batch["input_ids"].tolist() == [[11, 12, 13, 14], [15, 9, 9, 9]]
    assert batch["labels"].tolist() == [[-100, -100, 14, 9], [9, -100, -100, -100]]
    assert batch["lengths"].tolist() == [4, 1]


def test_a_token_with_the_id_of_the_pad_inside_a_tweet_is_a_token():
    batch = collate_batch([make_item([0, 0, 0, 0])], pad_id=0)
    assert batch["labels"].tolist() == [[-100, -100, 0, EOS]]


@pytest.mark.parametrize("context_length, masked", [(0, 0), (1, 0), (2, 1), (4, 3)])
def test_the_context_length_of_an_item_sets_its_mask(context_length, masked):
    labels = collate_batch([make_item([11, 12, 13, 14], context_length=context_length)])["labels"][0].tolist()
    assert labels == [IGNORE_INDEX] * masked + [12, 13, 14, EOS][masked:]


def test_collating_does_not_change_the_items():
    item = make_item([11, 12, 13, 14])
    collate_batch([item])["input_ids"][:] = 0
    assert item["input_ids"].tolist() == [11, 12, 13, 14]
    assert item["labels"].tolist() == [12, 13, 14, EOS]


# A mask counted in words


def assert_trained_on_the_target(texts, tokenizer):
    eos_id = tokenizer.eos_token_id
    dataset = NextTokenDataset(texts, tokenizer, eos_id, context_unit="words")
    for text, item in zip(texts, dataset):
        *target_ids, last = trained_labels(item)
        assert last == eos_id
        assert tokenizer.decode(target_ids).lstrip() == split_x_target_by_words(text)[1]


def test_a_mask_in_words_begins_at_the_cut(tokenizer, cleaned_texts):
    # Words that the tokenizer has never seen consist of many tokens.
    assert_trained_on_the_target([*cleaned_texts, "a zqxjzqxj", "zqxj yvvk qqqq zzz", "zqxj"], tokenizer)


def test_a_mask_in_words_begins_at_the_cut_for_byte_level_tokens(byte_level, cleaned_texts):
    assert_trained_on_the_target([*cleaned_texts, "a zqxjzqxj", "zqxj yvvk qqqq zzz", "zqxj"], byte_level)


def test_tokens_and_words_are_masked_differently(tokenizer):
    text = "a b c zqxjvqxjzqxj"
    in_tokens, in_words = (
        trained_labels(NextTokenDataset([text], tokenizer, EOS, context_unit=unit)[0]) for unit in ("tokens", "words")
    )
    assert in_words == [*tokenizer("zqxjvqxjzqxj")["input_ids"], EOS]
    assert in_tokens == in_words[-len(in_tokens) :] != in_words


def test_a_mask_in_words_stays_in_place_when_the_beginning_is_cut_off(tokenizer, cleaned_texts):
    complete = NextTokenDataset(cleaned_texts, tokenizer, EOS, context_unit="words")
    cut = NextTokenDataset(cleaned_texts, tokenizer, EOS, max_len=5, context_unit="words")
    for complete_item, cut_item in zip(complete, cut):
        # The first token that is kept is an input only, never a label.
        assert trained_labels(cut_item) == trained_labels(complete_item)[-min(4, len(complete_item["labels"])) :]


# Files


@pytest.mark.parametrize("context_unit", ["tokens", "words"])
@pytest.mark.parametrize("max_len", [None, 4])
def test_a_dataset_in_a_folder_is_the_same_and_memory_mapped(tokenizer, cleaned_texts, tmp_path, context_unit, max_len):
    dataset = NextTokenDataset(cleaned_texts, tokenizer, EOS, max_len, context_unit)
    folder = tmp_path / "new" / "folder"
    written = NextTokenDataset(cleaned_texts, tokenizer, EOS, max_len, context_unit, folder)
    for mapped in (written, NextTokenDataset.load(folder)):
        assert isinstance(mapped.token_ids, np.memmap)
        assert_same_items(mapped, dataset)
        assert np.array_equal(mapped.lengths, dataset.lengths)
        batch, mapped_batch = collate_batch(list(dataset)), collate_batch(list(mapped))
        assert all(torch.equal(batch[name], mapped_batch[name]) for name in batch)


def test_a_dataset_written_over_another_replaces_all_of_it(tokenizer, cleaned_texts, tmp_path):
    NextTokenDataset(cleaned_texts, tokenizer, EOS, context_unit="words", folder=tmp_path)
    dataset = NextTokenDataset(cleaned_texts[:9], tokenizer, EOS, context_unit="tokens", folder=tmp_path)
    assert_same_items(NextTokenDataset.load(tmp_path), dataset)
    assert_same_items(dataset, NextTokenDataset(cleaned_texts[:9], tokenizer, EOS))


def test_an_empty_dataset_is_written_and_loaded(tokenizer, tmp_path):
    NextTokenDataset([], tokenizer, EOS, folder=tmp_path)
    assert len(NextTokenDataset.load(tmp_path)) == 0


def test_an_interrupted_write_leaves_no_dataset(tokenizer, cleaned_texts, tmp_path):
    NextTokenDataset(cleaned_texts, tokenizer, EOS, folder=tmp_path)
    with pytest.raises(ValueError, match="text 1 has no tokens"):
        NextTokenDataset(["the bus", ""], tokenizer, EOS, folder=tmp_path)
    with pytest.raises(FileNotFoundError, match=r"offsets\.npy"):
        NextTokenDataset.load(tmp_path)


def test_texts_may_come_from_an_iterator_and_in_any_number_of_batches(tokenizer, cleaned_texts, monkeypatch):
    expected = NextTokenDataset(cleaned_texts, tokenizer, EOS, context_unit="words")
    monkeypatch.setattr(next_token_dataset, "TOKENIZER_BATCH", 7)
    dataset = NextTokenDataset(iter(cleaned_texts), tokenizer, EOS, context_unit="words")
    assert_same_items(dataset, expected)
    with pytest.raises(ValueError, match="text 80 has no tokens"):
        NextTokenDataset([*cleaned_texts, ""], tokenizer, EOS)


def test_without_a_context_every_token_after_the_first_is_trained_on(tokenizer, cleaned_texts):
    dataset = NextTokenDataset(cleaned_texts, tokenizer, tokenizer.eos_token_id, context_unit="none")
    batch = collate_batch([dataset[i] for i in range(len(dataset))])
    assert ((batch["labels"] != -100).sum(dim=1) == batch["lengths"]).all()


@pytest.mark.parametrize("context_unit", ["tokens", "words"])
def test_an_unmasked_batch_equals_that_of_a_dataset_without_a_mask(tokenizer, cleaned_texts, context_unit):
    masked, plain = (
        NextTokenDataset(cleaned_texts, tokenizer, EOS, context_unit=unit) for unit in (context_unit, "none")
    )
    # Texts of many lengths, and one alone.
    for indices in (range(13), [20]):
        found = unmask_context(collate_batch([masked[i] for i in indices], pad_id=EOS))
        expected = collate_batch([plain[i] for i in indices], pad_id=EOS)
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], expected[name]) for name in expected)


# Batches of similar length


def sampled_batches(lengths, batch_size, seed=0, epoch=0):
    sampler = SimilarLengthSampler(np.array(lengths, dtype=np.int64), batch_size, seed)
    sampler.set_epoch(epoch)
    return list(BatchSampler(sampler, batch_size, drop_last=False))


@given(st.lists(st.integers(1, 30), max_size=300), st.integers(1, 9), st.integers(0, 3))
def test_every_text_is_drawn_once_and_only_the_last_batch_is_incomplete(lengths, batch_size, epoch):
    batches = sampled_batches(lengths, batch_size, epoch=epoch)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    assert all(len(batch) == batch_size for batch in batches[:-1])


def test_batches_have_few_pads_and_a_random_order():
    lengths = np.random.default_rng(0).integers(2, 40, 20_000)
    batches = sampled_batches(lengths, 32)[:-1]
    longest = np.array([lengths[batch].max() for batch in batches])
    assert (longest * 32).sum() < 1.05 * lengths.sum()
    in_turn = np.corrcoef(longest[:-1], longest[1:])[0, 1]
    assert abs(in_turn) < 0.15


def test_the_order_depends_on_the_seed_and_the_epoch_only():
    lengths = np.random.default_rng(0).integers(2, 40, 1_000)
    torch.manual_seed(0)
    first = sampled_batches(lengths, 16, seed=3, epoch=2)
    torch.manual_seed(1)
    assert sampled_batches(lengths, 16, seed=3, epoch=2) == first
    assert sampled_batches(lengths, 16, seed=4, epoch=2) != first
    assert sampled_batches(lengths, 16, seed=3, epoch=3) != first


@pytest.mark.parametrize("context_unit", ["tokens", "words", "none"])
@pytest.mark.parametrize("in_folder", [False, True])
def test_with_a_beginning_token_the_first_word_has_a_label_and_the_other_labels_are_the_same(
    tokenizer, cleaned_texts, context_unit, in_folder, tmp_path
):
    eos_id = tokenizer.eos_token_id
    plain = NextTokenDataset(cleaned_texts, tokenizer, eos_id, context_unit=context_unit)
    folder = tmp_path if in_folder else None
    begun = NextTokenDataset(cleaned_texts, tokenizer, eos_id, None, context_unit, folder, bos_id=eos_id)
    assert (begun.lengths == plain.lengths + 1).all()
    for i in range(len(plain)):
        before, after = collate_batch([plain[i]]), collate_batch([begun[i]])
        ids, labels = (before[name][0].tolist() for name in ("input_ids", "labels"))
        assert after["input_ids"][0].tolist() == [eos_id, *ids]
        assert after["labels"][0].tolist() == [ids[0] if context_unit == "none" else IGNORE_INDEX, *labels]
        assert unmask_context(after)["labels"][0].tolist() == [*ids, eos_id]


def test_the_first_word_of_a_text_without_context_is_a_target(tokenizer):
    eos_id = tokenizer.eos_token_id
    dataset = NextTokenDataset(["today"], tokenizer, eos_id, bos_id=eos_id)
    batch = collate_batch([dataset[0]])
    assert batch["labels"][0].tolist() == [*tokenizer("today")["input_ids"], eos_id]


def test_a_text_cut_to_its_end_loses_its_beginning_token(tokenizer):
    eos_id = tokenizer.eos_token_id
    short, long = NextTokenDataset(["tea", "so very happy today"], tokenizer, eos_id, max_len=4, bos_id=eos_id)
    assert short["input_ids"][0] == eos_id and eos_id not in long["input_ids"]
    assert len(long["input_ids"]) == 3
