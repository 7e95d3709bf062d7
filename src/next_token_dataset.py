"""Tweets as next-token prediction: input ids, labels and the mask over the context.

The model reads the complete tweet, but only its last quarter and its end are targets (with
`context_unit="none"`, every token after the first is a target). An example of five tokens, of which
the first three (75%, rounded down) are the context:

    position      0        1       2      3        4
    input_ids     the      weather today  is       lovely
    label         weather  today   is     lovely   [EOS]
    trained on    no       no      yes    yes      yes

With a `bos_id`, that token comes first, so a model can also learn which words tweets begin with.
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
        texts: cleaned texts, read once and in order. With a folder, they need not fit into memory.
        tokenizer: any Hugging Face tokenizer; its special tokens are not added.
        eos_id: id appended to every text; a training target like any other.
        max_len: maximum number of ids per text, including the end; the last ones are kept. None keeps all.
        context_unit: unit of the masked 75%. "tokens": the tweet's own tokens. "words": exactly where
            `split_x_target_by_words` cuts. "none": nothing is masked.
        folder: the ids are written there while texts are read, then memory-mapped, as by `load`.
            None keeps them in memory.
        bos_id: id put before every text, part of its context and of `max_len`; None: nothing is put there.

    Attributes:
        token_ids: int32 [tokens], all texts with their ends.
        offsets: int64 [texts + 1], where each text starts in `token_ids`.
        context_lengths: int64 [texts], number of tokens in each context. None where `collate_batch`
            can compute them: the unit is tokens, there is no `bos_id`, and no text was cut to `max_len`.

    Items are `{"input_ids": ids[:-1], "labels": ids[1:]}`, int64 tensors of the same length, with the
    int `context_length` where the dataset has `context_lengths`.

    Raises:
        ValueError: a text has no tokens, `max_len` is below 2, or `context_unit` is unknown.
        WriteError: the disk is full.
    """

    def __init__(
        self,
        texts: Iterable[str],
        tokenizer: PreTrainedTokenizerBase,
        eos_id: int,
        max_len: int | None = None,
        context_unit: ContextUnit = "tokens",
        folder: str | Path | None = None,
        bos_id: int | None = None,
    ):
        if max_len is not None and max_len < 2:
            raise ValueError(f"max_len is {max_len}, but a token and its end need at least 2")
        if context_unit not in get_args(ContextUnit):
            raise ValueError(f"context_unit is {context_unit!r}: choose one of {get_args(ContextUnit)}")
        with _token_file(folder) as file:
            kept, lengths, context_lengths = _write_token_ids(
                file, texts, tokenizer, eos_id, max_len, context_unit, bos_id
            )
            self.offsets = np.concatenate([[0], np.cumsum(kept + 1)])
            self.context_lengths = None
            if context_unit != "tokens" or bos_id is not None or (kept < lengths).any():
                self.context_lengths = np.maximum(context_lengths - (lengths - kept), 0)
            if folder is None:
                self.token_ids = np.frombuffer(file.getbuffer(), np.int32)
        if folder is not None:
            self._save_counts(Path(folder))
            self._open(Path(folder))

    @classmethod
    def load(cls, folder: str | Path) -> "NextTokenDataset":
        """Open a dataset that was written to a folder, memory-mapped: an item is read from disk when it is used.

        Raises:
            FileNotFoundError: the folder holds no complete dataset.
        """
        dataset = cls.__new__(cls)
        dataset._open(Path(folder))
        return dataset

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        """Number of input ids of every item, int64 [len(self)]."""
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
            # Written last, it marks the dataset as complete.
            np.save(folder / "offsets.npy", self.offsets)

    def _open(self, folder: Path) -> None:
        """Map the arrays of a folder into memory."""
        self.offsets = np.load(folder / "offsets.npy", mmap_mode="r")
        # An empty file can't be mapped.
        self.token_ids = np.memmap(folder / TOKEN_FILE, np.int32, mode="r") if len(self) else np.empty(0, np.int32)
        lengths_path = folder / "context_lengths.npy"
        self.context_lengths = np.load(lengths_path, mmap_mode="r") if lengths_path.exists() else None


@contextmanager
def _token_file(folder: str | Path | None) -> Iterator[BinaryIO]:
    """Open a file for token ids, in memory or in a folder. `load` refuses the folder until the dataset is complete."""
    if folder is None:
        yield BytesIO()
        return
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("offsets.npy", "context_lengths.npy"):
        (folder / name).unlink(missing_ok=True)
    with explain_full_disk(folder), (folder / TOKEN_FILE).open("wb") as file:
        yield file


def _write_token_ids(
    file: BinaryIO,
    texts: Iterable[str],
    tokenizer: PreTrainedTokenizerBase,
    eos_id: int,
    max_len: int | None,
    context_unit: ContextUnit,
    bos_id: int | None,
) -> np.ndarray:
    """Tokenize texts and write their ids, int32, each text after `bos_id` and followed by `eos_id`.

    Returns:
        int64 [3, texts]: how many tokens of each text are written, how many there are, and how many
        of these are context. The beginning is counted, the end is not.
    """
    bos = [] if bos_id is None else [bos_id]
    counts = [np.zeros((3, 0), dtype=np.int64)]
    for batch in _batches(texts):
        ids, context_lengths = _tokenize(batch, tokenizer, context_unit)
        if [] in ids:
            i = ids.index([])
            index = sum(each.shape[1] for each in counts) + i
            raise ValueError(f"text {index} has no tokens ({batch[i]!r}); drop empty texts first")
        ids = [bos + text_ids for text_ids in ids]
        kept = ids if max_len is None else [text_ids[1 - max_len :] for text_ids in ids]
        file.write(np.fromiter(chain.from_iterable((*one, eos_id) for one in kept), np.int32).tobytes())
        lengths = [len(bos) + length for length in context_lengths]
        counts.append(np.array([[len(one) for one in kept], [len(one) for one in ids], lengths]))
    return np.concatenate(counts, axis=1)


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    """Lists of up to `TOKENIZER_BATCH` texts, with a progress bar."""
    total = len(texts) if isinstance(texts, Sized) else None
    texts = iter(texts)
    with tqdm(desc="tokenizing", total=total, unit=" texts", unit_scale=True, leave=False, mininterval=1) as bar:
        while batch := list(islice(texts, TOKENIZER_BATCH)):
            yield batch
            bar.update(len(batch))


def _tokenize(
    texts: list[str], tokenizer: PreTrainedTokenizerBase, context_unit: ContextUnit
) -> tuple[list[list[int]], list[int]]:
    """Token ids of each text, and the length of its context in tokens."""
    if context_unit == "words":
        # A space begins a word in every tokenizer, so no token spans the cut.
        pairs = [split_x_target_by_words(text) for text in texts]
        contexts = encode(tokenizer, [context for context, _ in pairs])
        targets = encode(tokenizer, [f" {target}" if target else "" for _, target in pairs])
        return [context + target for context, target in zip(contexts, targets)], [len(one) for one in contexts]
    ids = encode(tokenizer, texts)
    share = CONTEXT_SHARE if context_unit == "tokens" else 0.0
    return ids, [int(len(text_ids) * share) for text_ids in ids]


def collate_batch(batch: list[dict], pad_id: int = 0) -> dict[str, torch.Tensor]:
    """Pad items on the right and mask the labels of the context.

    A label is `IGNORE_INDEX` (-100) at a pad, and where its token belongs to the context: the first
    75% of the tweet's own tokens (rounded down), or the first `context_length` tokens if the item says
    so. The label at position i is token i + 1, so the first target token and the end are trained on.
    The mask comes from lengths, never from comparing ids with `pad_id`: a GPT-2 tokenizer uses the
    same id for pad and end.

    Args:
        batch: items of a `NextTokenDataset`.
        pad_id: id that fills `input_ids`.

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
