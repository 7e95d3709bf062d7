"""Which texts a run has read in training: a record that can be shared, because it does not show the texts.

The record is a Bloom filter (Bloom, 1970, "Space/time trade-offs in hash coding with allowable errors"): each text sets
a few bits, and a text counts as read if all of its bits are set. No text that was read is missed. By chance, fewer than
1% of other texts count as read too. Whoever has a text can ask whether it was read; this is what the record is for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from src.files import write_atomically
from src.runs import SEEN_TEXTS_FILE, RunError
from src.text.cleaning import CLEANING_VERSION

BITS_PER_TEXT = 10
POSITIONS_PER_TEXT = 7
# In a smaller filter the positions of one text too often coincide.
MIN_BYTES = 1_024
# Texts set half of the bits of their filter.
MAX_SHARE_OF_BITS = 0.6


@dataclass(frozen=True, eq=False)
class SeenTexts:
    """The texts that a run has read, and those of the runs that it started from.

    Attributes:
        filters: one Bloom filter for each run, uint8 [bytes], 8 bits in a byte, the lowest bit first. The run's own
            comes first, then that of the run it started from, and so on.
    """

    filters: tuple[np.ndarray, ...]

    @classmethod
    def of(cls, texts: Sequence[str], first: "SeenTexts | None" = None) -> "SeenTexts":
        """Record the texts of a run.

        Args:
            texts: cleaned training and validation texts, in any order.
            first: record of the run that this run started from, if there is one.
        """
        distinct = set(texts)
        num_bytes = max(MIN_BYTES, -(-BITS_PER_TEXT * len(distinct) // 8))
        bits = np.zeros(8 * num_bytes, dtype=bool)
        bits[_positions(_digests(distinct), len(bits))] = True
        return cls((np.packbits(bits, bitorder="little"), *(first.filters if first else ())))

    def contain(self, texts: Sequence[str]) -> np.ndarray:
        """Mark the texts that the run, or a run that it started from, has read.

        Args:
            texts: cleaned texts.

        Returns:
            bool [texts]: True for every text that was read, and for fewer than 1% of other texts in each filter.
        """
        digests = _digests(texts)
        found = np.zeros(len(digests), dtype=bool)
        for packed in self.filters:
            positions = _positions(digests, 8 * len(packed))
            found |= (packed[positions // 8] >> (positions % 8) & 1).all(axis=1)
        return found

    @property
    def before(self) -> "SeenTexts":
        """The texts of the runs that this run started from, without its own; none if it started from random weights."""
        return SeenTexts(self.filters[1:])

    def save(self, run_dir: str | Path) -> None:
        """Write `training_texts.safetensors` into a run folder: each filter as a tensor "0", "1", and so on.

        Raises:
            WriteError: the file can't be written.
        """
        tensors = {str(i): packed for i, packed in enumerate(self.filters)}
        # With a second entry, safetensors would write the entries in random order.
        write_atomically(Path(run_dir) / SEEN_TEXTS_FILE, save(tensors, {"cleaning": str(CLEANING_VERSION)}))


def load_seen_texts(run_dir: str | Path) -> SeenTexts:
    """Read `training_texts.safetensors` of a run folder.

    Raises:
        RunError: the file is missing or damaged, or its texts were cleaned by another version of the cleaning.
    """
    path = Path(run_dir) / SEEN_TEXTS_FILE
    try:
        with safe_open(path, framework="np") as file:
            cleaning = (file.metadata() or {}).get("cleaning", "unknown")
            if cleaning != str(CLEANING_VERSION):
                problem = f"texts of cleaning version {cleaning}, but this code has version {CLEANING_VERSION}"
                raise RunError(f"{path} holds {problem}: choose another run or train this one again")
            names = [str(i) for i in range(len(file.keys()))]
            if not names or sorted(names) != sorted(file.keys()):
                raise RunError(f"{path} lacks the texts of a run: restore the file")
            return SeenTexts(tuple(_read_filter(path, file, name) for name in names))
    except FileNotFoundError:
        message = f"{run_dir} has no {SEEN_TEXTS_FILE}, so nobody knows which texts this run has read"
        raise RunError(f"{message}: choose another run or train this one again") from None
    except (OSError, SafetensorError) as error:
        raise RunError(f"{path} can't be read ({error}): restore the file") from None


def _read_filter(path: Path, file: safe_open, name: str) -> np.ndarray:
    stored = file.get_slice(name)
    dtype, shape = stored.get_dtype(), stored.get_shape()
    if dtype != "U8" or len(shape) != 1 or shape[0] < MIN_BYTES:
        expected = f"U8 and at least {MIN_BYTES} bytes"
        raise RunError(f"tensor {name} of {path} is {dtype} with shape {shape}, not {expected}: restore the file")
    packed = file.get_tensor(name)
    share = np.bitwise_count(packed).mean() / 8
    if share == 0:
        # A run has read at least one text.
        raise RunError(f"tensor {name} of {path} has none of its bits set: restore the file")
    if share > MAX_SHARE_OF_BITS:
        raise RunError(f"tensor {name} of {path} has {share:.0%} of its bits set, too many: restore the file")
    return packed


def _digests(texts: Sequence[str] | set[str]) -> np.ndarray:
    """128 bits for each text, uint64 [texts, 2]."""
    joined = b"".join(blake2b(text.encode(), digest_size=16).digest() for text in texts)
    return np.frombuffer(joined, dtype="<u8").reshape(-1, 2)


def _positions(digests: np.ndarray, num_bits: int) -> np.ndarray:
    """The bits of each text, uint64 [texts, POSITIONS_PER_TEXT].

    They come from double hashing (Kirsch and Mitzenmacher, 2006, "Less hashing, same performance: building a better
    Bloom filter").
    """
    start, step = np.hsplit(digests % num_bits, 2)
    return (start + step * np.arange(POSITIONS_PER_TEXT, dtype=np.uint64)) % num_bits
