"""A small n-gram model in a file."""

from pathlib import Path

import numpy as np
from safetensors.numpy import save
from tokenizers import Tokenizer

from src.deploy.ngram_file import BLOCK


def count(texts: list[list[int]], order: int, eos_id: int) -> dict[tuple[int, ...], dict[int, int]]:
    """How often each token follows each context of up to `order - 1` tokens, an end token first."""
    counts = {}
    for text in texts:
        tokens = [eos_id, *text, eos_id]
        for end in range(1, len(tokens)):
            for length in range(min(order, end + 1)):
                following = counts.setdefault(tuple(tokens[end - length : end]), {})
                following[tokens[end]] = following.get(tokens[end], 0) + 1
    return counts


def ngram_arrays(counts: dict, vocab_size: int, order: int) -> dict[str, np.ndarray]:
    """The arrays of an n-gram file that gives 0.8 of a context's probability to the tokens that follow it."""
    smoothed = np.full(vocab_size, 0.1)
    for token, number in counts[()].items():
        smoothed[token] += number
    arrays = {"probabilities_1": (smoothed / smoothed.sum()).astype(np.float32)}
    parents = [(token,) for token in range(vocab_size)]
    for n in range(2, order + 1):
        children = [sorted(counts.get(parent, {}).items()) for parent in parents]
        numbers = [len(one) for one in children]
        firsts = np.cumsum([0, *numbers])
        if n == 2:
            arrays["first_child_1"] = firsts.astype(np.uint32)
        else:
            arrays[f"num_children_{n - 1}"] = np.array(numbers, dtype=np.uint8)
            arrays[f"first_child_{n - 1}"] = firsts[:-1:BLOCK].astype(np.uint32)
        shares = [0.8 * number / sum(dict(one).values()) for one in children for _, number in one]
        arrays[f"tokens_{n}"] = np.array([token for one in children for token, _ in one], dtype=np.uint16)
        arrays[f"shares_{n}"] = np.rint(255 * np.array(shares)).astype(np.uint8)
        arrays[f"codebook_{n}"] = np.linspace(0, 1, 256, dtype=np.float32)
        parents = [(*parent, token) for parent, one in zip(parents, children) for token, _ in one]
    return arrays


def write_ngrams(path: Path, texts: list[str], tokenizer: Tokenizer, eos_id: int, order: int = 3) -> None:
    """Count the n-grams of cleaned texts and write the file."""
    token_ids = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
    vocab_size = tokenizer.get_vocab_size()
    sizes = {"vocab_size": vocab_size, "order": order, "eos_id": eos_id}
    metadata = {"format": "ngrams", "version": "1", **{name: str(size) for name, size in sizes.items()}}
    path.write_bytes(save(ngram_arrays(count(token_ids, order, eos_id), vocab_size, order), metadata))
