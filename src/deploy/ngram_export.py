"""Write n-grams as a small file for a device, counted or merged into another file; expand a file to the torch model."""

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from math import ceil
from pathlib import Path

import numpy as np
import torch

from src.deploy.ngram_file import BLOCK, DTYPES, FORMAT, MAX_ORDER, MAX_VOCAB, MIN_BACKOFF, VERSION, NgramFile
from src.files import explain_full_disk, publish
from src.models.kneser_ney import KneserNeyConfig, KneserNeyLM, ngram_codes
from src.models.ngram_counts import NgramLevel, kneser_ney_counts
from src.models.ngram_merging import PRIORS, SharedLevel, known, merge
from src.models.pruning import MAX_CHILDREN, is_among_best, pruned_shares, select

CODEBOOK_SIZE = 256
# Bytes that the header takes at most for an array, and for everything else.
ENTRY_BYTES, OTHER_HEADER_BYTES = 120, 250
# Bytes of an n-gram that the file has already: next to none, but values are divided by them.
KNOWN_BYTES = 1e-6


def write_ngram_file(path: str | Path, levels: Sequence[NgramLevel], eos_id: int, max_bytes: int | None = None) -> Path:
    """Prune counted n-grams and write them as an n-gram file.

    Args:
        path: the file; it is complete or absent.
        levels: counts from `src.models.ngram_counts.ngram_levels`.
        max_bytes: the largest size of the file; None keeps all n-grams, but for the least important ones of a context
            of two or more tokens with more than 255 continuations.

    Raises:
        ValueError: not even the single tokens fit, or the order or the vocabulary is too large for the format.
        WriteError: the disk is full.
    """
    vocab_size = len(levels[0].tokens)
    if len(levels) > MAX_ORDER or vocab_size > MAX_VOCAB:
        limits = f"{MAX_ORDER} tokens over a vocabulary of {MAX_VOCAB}"
        raise ValueError(f"order {len(levels)} over {vocab_size} tokens: the file holds n-grams of up to {limits}")
    costs = [node_bytes(length, len(levels)) for length in range(1, len(levels) + 1)]
    budget = np.inf if max_bytes is None else max_bytes - fixed_bytes(len(levels), vocab_size)
    if budget < 0:
        raise ValueError(f"max_bytes is {max_bytes}: with single tokens alone the file takes {max_bytes - budget}")
    kept = select(levels, costs, budget)
    shares, _ = pruned_shares(levels, kneser_ney_counts(levels, kept), kept)
    return write_trie(path, levels, kept, shares, eos_id)


def write_merged_file(
    path: str | Path,
    first: NgramFile,
    levels: Sequence[NgramLevel],
    max_bytes: int | None = None,
    prior: float = PRIORS[0],
) -> Path:
    """Merge counted n-grams into those of a file, and write them as another.

    All n-grams of the first file are kept, and so are the counted ones that it has too. Of the others, the least
    important are removed until the file fits. Of a context of two or more tokens, only the 255 most probable
    continuations are kept, whichever model they come from.

    Args:
        path: the new file; it is complete or absent.
        first: the n-grams to start from; they are not changed.
        levels: counts from `src.models.ngram_counts.ngram_levels`, over the same tokens and of the same order.
        max_bytes: the largest size of the new file; None: any.
        prior: how much the first file counts, as in `src.models.ngram_merging.merge`.

    Raises:
        ValueError: the order or the vocabulary is another, or not even the n-grams of the first file fit.
        WriteError: the disk is full.
    """
    sizes = [(first.order, first.vocab_size), (len(levels), len(levels[0].tokens))]
    if sizes[0] != sizes[1]:
        orders = " and ".join(f"order {order} over {vocab_size} tokens" for order, vocab_size in sizes)
        raise ValueError(f"{first.path} and the counts have {orders}: count with its order and its tokenizer")
    costs = [node_bytes(length, first.order) for length in range(1, first.order + 1)]
    taken = fixed_bytes(first.order, first.vocab_size)
    taken += ceil(sum(cost * len(level.tokens) for cost, level in zip(costs[1:], first.levels)))
    if max_bytes is not None and max_bytes < taken:
        raise ValueError(f"max_bytes is {max_bytes}: the n-grams of {first.path} alone take {taken}")
    first_levels = read_levels(first)
    costs = [np.where(is_known, KNOWN_BYTES, cost) for is_known, cost in zip(known(first_levels, levels), costs)]
    kept = select(levels, costs, np.inf if max_bytes is None else max_bytes - taken)
    merged = merge(first_levels, levels, kept, prior)
    shares = [level.shares for level in merged]
    return write_trie(path, merged, most_probable(merged), shares, first.eos_id)


def most_probable(levels: Sequence[SharedLevel]) -> list[np.ndarray]:
    """The n-grams that the file can hold, bool [n-grams] for every length: the most probable ones of each context."""
    kept = [np.ones(len(level.tokens), dtype=bool) for level in levels]
    for i in range(2, len(levels)):
        is_best = is_among_best(levels[i].shares, levels[i].parents, MAX_CHILDREN)
        kept[i] = kept[i - 1][levels[i].parents] & is_best
    return kept


def write_trie(
    path: str | Path,
    levels: Sequence[NgramLevel | SharedLevel],
    kept: Sequence[np.ndarray],
    shares: Sequence[np.ndarray],
    eos_id: int,
) -> Path:
    """Write the n-grams that are kept, with their shares; both are arrays [n-grams] for every length."""
    path = Path(path)
    sizes = {"vocab_size": len(levels[0].tokens), "order": len(levels), "eos_id": eos_id}
    content = file_content(trie_arrays(levels, kept, shares), sizes)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with explain_full_disk(path):
            with partial.open("wb") as file:
                file.writelines(content)
            return publish(partial, path)
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def read_levels(file: NgramFile) -> list[SharedLevel]:
    """The n-grams of a file, level by level from single tokens."""
    tokens = np.arange(file.vocab_size)
    levels = [SharedLevel(tokens, tokens[:0], file.unigrams.astype(np.float64))]
    for length, level in enumerate(file.levels, start=2):
        shares = level.codebook[level.shares].astype(np.float64)
        levels.append(SharedLevel(level.tokens, file.parents(length), shares))
    return levels


def load_ngrams(path: str | Path, pad_token_id: int = 0) -> KneserNeyLM:
    """Expand an n-gram file to the torch model with the same probabilities.

    Raises:
        NgramFileError: the file is damaged or of another version.
        OSError: the file can't be read.
    """
    file = NgramFile(path)
    levels = read_levels(file)
    shares, backoffs = [file.unigrams], [np.zeros(1)]
    for shorter, level in pairwise(levels):
        total = np.bincount(level.parents, level.shares, minlength=len(shorter.tokens))
        backoff = np.maximum(1 - total, MIN_BACKOFF)
        total = total + backoff
        shares.append(level.shares / total[level.parents])
        backoffs.append(backoff / total)
    sizes = {"vocab_size": file.vocab_size, "num_ngrams": [len(level.tokens) for level in levels]}
    model = KneserNeyLM(KneserNeyConfig(**sizes, pad_token_id=pad_token_id, eos_token_id=file.eos_id)).eval()
    codes = ngram_codes([level.parents for level in levels[1:]], [level.tokens for level in levels], file.vocab_size)
    # The last back-off belongs to the context that does not exist.
    tables = {"codes": codes, "shares": np.concatenate(shares), "backoffs": np.concatenate([*backoffs, [1.0]])}
    model.load_state_dict({name: torch.from_numpy(table) for name, table in tables.items()})
    return model


def trie_arrays(
    levels: Sequence[NgramLevel | SharedLevel], kept: Sequence[np.ndarray], shares: Sequence[np.ndarray]
) -> dict[str, np.ndarray]:
    """The arrays of the file for the n-grams that are kept, by name."""
    arrays = {"probabilities_1": (shares[0] / shares[0].sum()).astype(np.float32)}
    for i, level in enumerate(levels[1:], start=1):
        length, is_kept = i + 1, kept[i]
        codebook, indices = quantised(shares[i][is_kept])
        arrays |= {f"codebook_{length}": codebook, f"shares_{length}": indices}
        arrays[f"tokens_{length}"] = level.tokens[is_kept].astype(np.uint16)
        num_children = np.bincount(level.parents[is_kept], minlength=len(levels[i - 1].tokens))[kept[i - 1]]
        ends = np.concatenate([[0], num_children.cumsum()])
        if i == 1:
            arrays["first_child_1"] = ends.astype(np.uint32)
        else:
            arrays[f"num_children_{i}"] = num_children.astype(np.uint8)
            arrays[f"first_child_{i}"] = ends[:-1:BLOCK].astype(np.uint32)
    return arrays


def quantised(shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Round shares to 256 values whose logarithms are evenly spaced.

    Returns:
        the codebook, float32 [256], and the index of each share in it, uint8 [n-grams].
    """
    if not len(shares):
        return np.zeros(CODEBOOK_SIZE, dtype=np.float32), np.zeros(0, dtype=np.uint8)
    logs = np.log(shares)
    step = max((logs.max() - logs.min()) / (CODEBOOK_SIZE - 1), 1e-9)
    codebook = np.exp(logs.min() + step * np.arange(CODEBOOK_SIZE))
    return codebook.clip(0, 1).astype(np.float32), np.rint((logs - logs.min()) / step).astype(np.uint8)


def file_content(arrays: dict[str, np.ndarray], sizes: dict[str, int]) -> list[bytes | np.ndarray]:
    """The parts of a file in the layout of safetensors.

    That library writes its metadata in random order, but the same model should have the same checksum.
    """
    names = {dtype: name for name, dtype in DTYPES.items()}
    # Larger values first, so every array is aligned.
    arrays = dict(sorted(arrays.items(), key=lambda item: (-item[1].itemsize, item[0])))
    metadata = {"format": FORMAT, "version": VERSION, **{name: str(size) for name, size in sizes.items()}}
    header, end = {"__metadata__": metadata}, 0
    for name, array in arrays.items():
        place = [end, end := end + array.nbytes]
        header[name] = {"dtype": names[array.dtype], "shape": list(array.shape), "data_offsets": place}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return [len(text).to_bytes(8, "little"), text, *arrays.values()]


def node_bytes(length: int, order: int) -> float:
    """Bytes of an n-gram of `length` tokens: token and share, and before the last level the number of its children."""
    return 3 if length == order else 4 + 4 / BLOCK


def fixed_bytes(order: int, vocab_size: int) -> int:
    """Bytes that a file has at most without any n-gram of two or more tokens."""
    num_arrays = 2 + 5 * (order - 1)
    header = 8 + OTHER_HEADER_BYTES + ENTRY_BYTES * num_arrays
    return header + 4 * (2 * vocab_size + 1) + (order - 1) * (4 * CODEBOOK_SIZE + 4)
