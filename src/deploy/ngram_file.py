"""The n-gram model of a device: a small file, mapped into memory, that needs numpy alone.

The file has the layout of safetensors: a JSON header, then arrays. It is a trie. A node of level L stands for an n-gram
of L tokens; its children continue it by one token. They are neighbours in the next level, in order of their tokens.

    name                dtype          one value for each
    probabilities_1     F32 [vocab]    token: its probability without a context
    first_child_1       U32 [vocab+1]  token: index in level 2 of its first child; the last value is the size of level 2
    tokens_L            U16 [nodes]    node of level L, from 2 to the order: its last token
    shares_L            U8 [nodes]     node of level L: index of its share in codebook_L
    codebook_L          F32 [256]      index: discounted probability of the last token after the tokens before it
    num_children_L      U8 [nodes]     node of level L, from 2 to the order - 1
    first_child_L       U32 [blocks]   block of 64 nodes of level L: index in level L + 1 of the block's first child

There are no back-offs in the file. They are what a node's children leave, so probabilities sum to 1 however the model
was pruned and rounded:

    backoff(context) = max(1 - sum of its children's shares, MIN_BACKOFF)
    p(token | context) = (share + backoff * p(token | context without its first token)) / (sum of shares + backoff)

A context without children is not used.
"""

import json
import mmap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from src.text.context_weight import context_inputs

NGRAM_FILE = "ngrams.bin"
FORMAT, VERSION = "ngrams", "1"
MIN_BACKOFF = np.float32(1e-4)
# Nodes whose numbers of children are summed to find one node's first child.
BLOCK = 64
DTYPES = {"F32": np.dtype("<f4"), "U32": np.dtype("<u4"), "U16": np.dtype("<u2"), "U8": np.dtype("u1")}
MAX_HEADER, MAX_VOCAB, MAX_ORDER = 100_000, 2**16, 16


class NgramFileError(ValueError):
    """A file is not an n-gram model that this version can read."""


@dataclass(frozen=True)
class Level:
    """All n-grams of one length, from 2: arrays of the file, as the module describes them."""

    tokens: np.ndarray
    shares: np.ndarray
    codebook: np.ndarray


class NgramFile:
    """An n-gram model in a file. Every text begins after an end token, which is a part of the contexts.

    Args:
        path: the file.

    Attributes:
        vocab_size, order, eos_id: sizes of the model, and the id of the end token.
        unigrams: float32 [vocab], the probability of each token without a context.
        levels: the n-grams of two tokens, of three, and so on, up to the order.

    Raises:
        NgramFileError: the file is damaged or of another version.
        OSError: the file can't be read.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        with self.path.open("rb") as file:
            # An empty file can't be mapped.
            size = file.seek(0, 2)
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else b""
        arrays = self._arrays(content)
        self.unigrams = arrays["probabilities_1"]
        lengths = range(2, self.order + 1)
        self.levels = [Level(*(arrays[f"{name}_{i}"] for name in ("tokens", "shares", "codebook"))) for i in lengths]
        self._first_children = [arrays[f"first_child_{i - 1}"] for i in lengths]
        self._num_children = [arrays[f"num_children_{i}"] for i in lengths[:-1]]
        self._check_values()

    def probabilities(self, token_ids: Sequence[int]) -> np.ndarray:
        """Probabilities of the next token, float32 [vocab]; arguments and errors as of `look_up`."""
        return self.look_up(token_ids)[0]

    def look_up(self, token_ids: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Predict the next token.

        Args:
            token_ids: the text from its beginning, with or without the end token before it.

        Returns:
            probabilities of the next token, float32 [vocab], and what the model knows of the contexts, as
            `src.text.context_weight.ContextWeight` takes it, float32 [2 (order - 1)].

        Raises:
            ValueError: an id is not in the vocabulary.
        """
        probabilities = self.unigrams.copy()
        backoffs, num_followers = [1.0] * (self.order - 1), [0] * (self.order - 1)
        for i, context in enumerate(self._contexts(token_ids)):
            start, end = self._children(context)
            if start < end:
                level = self.levels[i]
                shares = level.codebook[level.shares[start:end]]
                total = shares.sum()
                backoff = max(1 - total, MIN_BACKOFF)
                backoffs[i], num_followers[i] = float(backoff / (total + backoff)), end - start
                probabilities *= backoffs[i]
                probabilities[level.tokens[start:end]] += shares / (total + backoff)
        return probabilities, context_inputs(np.array(backoffs), np.array(num_followers))

    def look_up_all(self, contexts: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
        """`look_up` of several texts, one row for each."""
        probabilities = np.empty((len(contexts), self.vocab_size), dtype=np.float32)
        known = np.empty((len(contexts), 2 * (self.order - 1)), dtype=np.float32)
        for i, token_ids in enumerate(contexts):
            probabilities[i], known[i] = self.look_up(token_ids)
        return probabilities, known

    def parents(self, length: int) -> np.ndarray:
        """The index of the context of every n-gram of `length` tokens, from 2, in its level; int64 [n-grams]."""
        counts = np.diff(self._first_children[0]) if length == 2 else self._num_children[length - 3]
        return np.arange(len(counts)).repeat(counts)

    def _contexts(self, token_ids: Sequence[int]) -> list[list[int]]:
        """The last one token, the last two, and so on, no further than to the end token before the text."""
        num_tokens = len(token_ids)
        last = [int(token) for token in token_ids[max(0, num_tokens - self.order + 1) :]]
        if num_tokens < self.order - 1 and (not num_tokens or last[0] != self.eos_id):
            last.insert(0, self.eos_id)
        if not all(0 <= token < self.vocab_size for token in last):
            raise ValueError(f"token ids {last} must be from 0 to {self.vocab_size - 1}, as in {self.path}")
        return [last[-i:] for i in range(1, min(len(last), self.order - 1) + 1)]

    def _children(self, context: list[int]) -> tuple[int, int]:
        """The first child of a context and the one after its last, in the level of its length; both 0 if unknown."""
        if not self.levels:
            return 0, 0
        start, end = self._first_children[0][context[0] : context[0] + 2].tolist()
        for level, num_children, first_children, token in zip(
            self.levels, self._num_children, self._first_children[1:], context[1:]
        ):
            # The token has the dtype of the array, or numpy would convert the array.
            node = start + int(level.tokens[start:end].searchsorted(np.uint16(token)))
            if node == end or level.tokens[node] != token:
                return 0, 0
            block = node // BLOCK
            start = int(first_children[block]) + int(num_children[block * BLOCK : node].sum(dtype=np.int64))
            end = start + int(num_children[node])
        return start, end

    def _arrays(self, content: mmap.mmap | bytes) -> dict[str, np.ndarray]:
        """Read the header, set the sizes, and return the arrays by name."""
        header_size = int.from_bytes(content[:8], "little")
        self._require(len(content) >= 8 and header_size <= min(len(content) - 8, MAX_HEADER), "it is no such file")
        try:
            header = json.loads(content[8 : 8 + header_size])
        except (ValueError, RecursionError):
            header = None
        metadata = header.pop("__metadata__", None) if isinstance(header, dict) else None
        is_ours = isinstance(metadata, dict) and metadata.get("format") == FORMAT
        self._require(is_ours, "it is no such file")
        version = metadata.get("version")
        self._require(version == VERSION, f"its version is {version!r:.20}, this program reads {VERSION!r}")
        limits = {"vocab_size": MAX_VOCAB, "order": MAX_ORDER, "eos_id": MAX_VOCAB - 1}
        for name, limit in limits.items():
            value = str(metadata.get(name))
            is_valid = value.isascii() and value.isdecimal() and len(value) < 9 and int(value) <= limit
            self._require(is_valid, f"{name} is {value!r:.20}")
            setattr(self, name, int(value))
        self._require(self.order >= 1 and self.eos_id < self.vocab_size, "order or eos_id is out of range")
        data = np.frombuffer(content, np.uint8)[8 + header_size :]
        return self._read_arrays(header, data, 8 + header_size)

    def _read_arrays(self, header: dict, data: np.ndarray, start: int) -> dict[str, np.ndarray]:
        """The arrays of `data`, which begin at byte `start` of the file: those that should be there, and no others."""
        arrays, used = {}, []
        for name, (dtype_name, size) in self._expected().items():
            entry, dtype = header.get(name), DTYPES[dtype_name]
            self._require(isinstance(entry, dict) and entry.get("dtype") == dtype_name, f"{name} is no {dtype_name}")
            shape, offsets = entry.get("shape"), entry.get("data_offsets")
            are_numbers = all(
                isinstance(values, list) and len(values) == length and all(type(value) is int for value in values)
                for values, length in ((shape, 1), (offsets, 2))
            )
            self._require(are_numbers, f"{name} has no shape or place")
            first, last = offsets
            is_inside = 0 <= first <= last <= len(data) and last - first == shape[0] * dtype.itemsize
            self._require(is_inside and (start + first) % dtype.itemsize == 0, f"{name} is not where it should be")
            self._require(size is None or shape[0] == size, f"{name} has {shape[0]} values")
            used.append((first, last))
            arrays[name] = data[first:last].view(dtype)
        used.sort()
        ends = [0, *(last for _, last in used)]
        is_full = len(header) == len(arrays) and [first for first, _ in used] == ends[:-1] and ends[-1] == len(data)
        self._require(is_full, "its arrays do not fill it")
        return arrays

    def _expected(self) -> dict[str, tuple[str, int | None]]:
        """The dtype of each array, and its length where that follows from the sizes alone."""
        expected = {"probabilities_1": ("F32", self.vocab_size)}
        if self.order > 1:
            expected["first_child_1"] = ("U32", self.vocab_size + 1)
        for i in range(2, self.order + 1):
            expected |= {f"tokens_{i}": ("U16", None), f"shares_{i}": ("U8", None), f"codebook_{i}": ("F32", 256)}
        for i in range(2, self.order):
            expected |= {f"num_children_{i}": ("U8", None), f"first_child_{i}": ("U32", None)}
        return expected

    def _check_values(self) -> None:
        """Refuse values that would lead outside the arrays, hide an n-gram or give no probabilities."""
        is_distribution = (self.unigrams > 0).all() and abs(self.unigrams.sum(dtype=np.float64) - 1) < 1e-5
        self._require(is_distribution, "probabilities_1 are no probabilities")
        for i, level in enumerate(self.levels):
            length, num_nodes = i + 2, len(level.tokens)
            in_range = ((level.codebook >= 0) & (level.codebook <= 1)).all()
            self._require(in_range, f"codebook_{length} has values outside 0 to 1")
            self._require(len(level.shares) == num_nodes, f"shares_{length} has another length than tokens_{length}")
            # One more end than there are contexts: the beginning of the first.
            ends = self._first_children[0] if i == 0 else self._checked_ends(i)
            is_rising = ends[0] == 0 and ends[-1] == num_nodes and (ends[1:] >= ends[:-1]).all()
            self._require(is_rising, f"the children of level {length - 1} are not the nodes of level {length}")
            if num_nodes:
                self._require(level.tokens.max() < self.vocab_size, f"tokens_{length} are not all in the vocabulary")
                may_fall = np.zeros(num_nodes + 1, dtype=bool)
                may_fall[ends] = True
                ascends = (level.tokens[1:] > level.tokens[:-1]) | may_fall[1:-1]
                self._require(ascends.all(), f"tokens_{length} are not in order")

    def _checked_ends(self, i: int) -> np.ndarray:
        """Where the children of each node of `levels[i - 1]` end in `levels[i]`, after a 0; uint32 [nodes + 1]."""
        num_children, first_children = self._num_children[i - 1], self._first_children[i]
        is_complete = len(num_children) == len(self.levels[i - 1].tokens)
        self._require(is_complete, f"num_children_{i + 1} has another length than tokens_{i + 1}")
        # A sum that does not fit would wrap.
        self._require(num_children.sum(dtype=np.int64) < 2**32, f"num_children_{i + 1} are too many")
        ends = np.zeros(len(num_children) + 1, dtype=np.uint32)
        num_children.cumsum(out=ends[1:])
        self._require(
            np.array_equal(first_children, ends[:-1:BLOCK]), f"first_child_{i + 1} contradicts num_children_{i + 1}"
        )
        return ends

    def _require(self, condition: bool, what: str) -> None:
        if not condition:
            raise NgramFileError(f"{self.path} is no readable n-gram model ({what}): export the run again")
