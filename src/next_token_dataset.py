"""Tweets as next-token prediction: input ids, labels and the mask over the context.

The model reads the whole tweet, but only its last quarter and its end are targets (all of it
is in a dataset with `context_unit="none"`). Written out for five tokens, of which the first
three (75%, rounded down) are the context:

    position      0        1       2      3        4
    input_ids     the      weather today  is       lovely
    label         weather  today   is     lovely   [EOS]
    trained on    no       no      yes    yes      yes
"""

from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager
from io import BytesIO
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO, Literal, get_args

import numpy as np
import torch
from torch.utils.data import Dataset
from tqdm import tqdm
from transformers import PreTrainedTokenizerBase

from src.corpus.tokenization import encode
from src.data_utils import CONTEXT_SHARE, split_x_target_by_words
from src.files import explain_full_disk

IGNORE_INDEX = -100
TOKENIZER_BATCH = 10_000
TOKEN_FILE = "token_ids.int32"
ContextUnit = Literal["tokens", "words", "none"]


class NextTokenDataset(Dataset):
    """Texts tokenized once into one flat array of ids, each text followed by `eos_id`.

    Args:
        texts: cleaned texts, read once and in order; any number, with a folder.
        tokenizer: any Hugging Face tokenizer; its special tokens are not added.
        eos_id: id appended to every text; a training target like any other.
        max_len: ids kept per text with its end, the last ones; None keeps all.
        context_unit: what the masked 75% are counted in. "tokens": of the tweet's own
            tokens. "words": exactly where `split_x_target_by_words` cuts. "none": nothing
            is masked, every token after the first is a target.
        folder: where the ids are written while texts are read, to be read from there, memory-mapped,
            now and by `load`; None keeps them in memory.

    Items are `{"input_ids": ids[:-1], "labels": ids[1:]}`, int64 tensors of the same length.
    Unless the unit is tokens and no text was cut to `max_len`, they also hold `context_length`, the
    number of tokens in the context, which `collate_batch` otherwise counts itself.
    """

    def __init__(
        self,
        texts: Iterable[str],
        tokenizer: PreTrainedTokenizerBase,
        eos_id: int,
        max_len: int | None = None,
        context_unit: ContextUnit = "tokens",
        folder: str | Path | None = None,
    ):
        if max_len is not None and max_len < 2:
            raise ValueError(f"max_len is {max_len}, but a token and its end need at least 2")
        if context_unit not in get_args(ContextUnit):
            raise ValueError(f"context_unit is {context_unit!r}: choose one of {get_args(ContextUnit)}")
        counts = [np.zeros((3, 0), dtype=np.int64)]
        with _token_file(folder) as file:
            for batch in _batches(texts):
                ids, context_lengths = _tokenize(batch, tokenizer, context_unit)
                if [] in ids:
                    i = ids.index([])
                    place = sum(each.shape[1] for each in counts) + i
                    raise ValueError(f"text {place} has no tokens ({batch[i]!r}); drop empty texts first")
                kept = ids if max_len is None else [text_ids[1 - max_len :] for text_ids in ids]
                file.write(np.fromiter(chain.from_iterable((*one, eos_id) for one in kept), np.int32).tobytes())
                counts.append(np.array([[len(one) for one in kept], [len(one) for one in ids], context_lengths]))
            kept_lengths, lengths, context_lengths = np.concatenate(counts, axis=1)
            self.offsets = np.concatenate([[0], np.cumsum(kept_lengths + 1)])
            self.context_lengths = None
            if context_unit != "tokens" or (kept_lengths < lengths).any():
                self.context_lengths = np.maximum(context_lengths - (lengths - kept_lengths), 0)
            if folder is None:
                self.token_ids = np.frombuffer(file.getbuffer(), np.int32)
        if folder is not None:
            self._save_counts(Path(folder))
            vars(self).update(vars(self.load(folder)))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        """[len(self)] number of input ids of every item."""
        return np.diff(self.offsets) - 1

    def __getitem__(self, index: int) -> dict[str, torch.Tensor | int]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"item {index} of a dataset of {len(self)} texts")
        index %= len(self)
        ids = torch.from_numpy(self.token_ids[self.offsets[index] : self.offsets[index + 1]].astype(np.int64))
        item = {"input_ids": ids[:-1], "labels": ids[1:]}
        if self.context_lengths is not None:
            item["context_length"] = int(self.context_lengths[index])
        return item

    def _save_counts(self, folder: Path) -> None:
        with explain_full_disk(folder):
            if self.context_lengths is not None:
                np.save(folder / "context_lengths.npy", self.context_lengths)
            # The last one, and so the mark of a whole dataset.
            np.save(folder / "offsets.npy", self.offsets)

    @classmethod
    def load(cls, folder: str | Path) -> "NextTokenDataset":
        """Open what was written to a folder, memory-mapped: items are read from disk when they are asked for.

        Raises:
            FileNotFoundError: the folder holds no whole dataset.
        """
        folder = Path(folder)
        dataset = cls.__new__(cls)
        dataset.offsets = np.load(folder / "offsets.npy", mmap_mode="r")
        # An empty file can't be mapped.
        dataset.token_ids = np.empty(0, np.int32)
        if len(dataset):
            dataset.token_ids = np.memmap(folder / TOKEN_FILE, np.int32, mode="r")
        lengths_path = folder / "context_lengths.npy"
        dataset.context_lengths = np.load(lengths_path, mmap_mode="r") if lengths_path.exists() else None
        return dataset


@contextmanager
def _token_file(folder: str | Path | None) -> Iterator[BinaryIO]:
    """Where ids go, in memory or in a folder that holds no dataset from then on until it is whole."""
    if folder is None:
        yield BytesIO()
        return
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("offsets.npy", "context_lengths.npy"):
        (folder / name).unlink(missing_ok=True)
    with explain_full_disk(folder), (folder / TOKEN_FILE).open("wb") as file:
        yield file


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    """Lists of texts, with a progress bar."""
    total = len(texts) if isinstance(texts, Sized) else None
    texts = iter(texts)
    with tqdm(desc="tokenizing", total=total, unit=" texts", unit_scale=True, leave=False, mininterval=1) as bar:
        while batch := list(islice(texts, TOKENIZER_BATCH)):
            yield batch
            bar.update(len(batch))


def _tokenize(
    texts: list[str], tokenizer: PreTrainedTokenizerBase, context_unit: ContextUnit
) -> tuple[list[list[int]], list[int]]:
    """The ids of each text, and how many of them are its context."""
    if context_unit == "words":
        # A space begins a word in every tokenizer, so that no token reaches across it.
        pairs = [split_x_target_by_words(text) for text in texts]
        contexts = encode(tokenizer, [context for context, _ in pairs])
        targets = encode(tokenizer, [f" {target}" if target else "" for _, target in pairs])
        return [context + target for context, target in zip(contexts, targets)], [len(one) for one in contexts]
    ids = encode(tokenizer, texts)
    share = CONTEXT_SHARE if context_unit == "tokens" else 0.0
    return ids, [int(len(text_ids) * share) for text_ids in ids]


def collate_batch(batch: list[dict], pad_id: int = 0) -> dict[str, torch.Tensor]:
    """Pad items on the right and mask the labels of the context.

    A label is -100 where it is padding and where its token is among the first 75% of the
    tweet's own tokens (rounded down), or among the item's `context_length` tokens where it
    has one. The label at position i is token i + 1, so the first target token and the
    final end are trained. The mask comes from lengths, never from comparing ids with
    `pad_id`: the pad of a GPT-2 tokenizer is also its end.

    Returns:
        `input_ids` and `labels`, int64 [batch, longest], and `lengths`, int64 [batch].
    """
    lengths = torch.tensor([len(item["input_ids"]) for item in batch])
    context_lengths = torch.tensor(
        [item.get("context_length", int(len(item["input_ids"]) * CONTEXT_SHARE)) for item in batch]
    )
    input_ids = torch.nn.utils.rnn.pad_sequence([item["input_ids"] for item in batch], True, pad_id)
    labels = torch.nn.utils.rnn.pad_sequence([item["labels"] for item in batch], True, IGNORE_INDEX)
    label_positions = torch.arange(1, labels.shape[1] + 1)
    labels[label_positions < context_lengths[:, None]] = IGNORE_INDEX
    return {"input_ids": input_ids, "labels": labels, "lengths": lengths}
