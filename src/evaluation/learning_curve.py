"""How the validation loss fell while a model was trained, in a unit that does not depend on its tokenizer."""

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from transformers import PreTrainedTokenizerBase

from src.evaluation.systems import likelihood_table
from src.next_token_dataset import NextTokenDataset


def minutes_curve(run_dir: str | Path, texts: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> pd.DataFrame:
    """Bits per character after minutes of training.

    A run records its loss in nats per target token. Tokens differ between tokenizers, characters do not: the loss is
    multiplied by the number of target tokens and divided by the number of target characters. The end of a text counts
    as one of either.

    Args:
        run_dir: the folder of a run; its `history.json` holds the loss at every evaluation.
        texts: the cleaned validation texts on which the run measured this loss.
        tokenizer: the run's tokenizer.

    Returns:
        one row per evaluation: `minutes` since training began, evaluations included, and `value`, bits per character.
    """
    dataset = NextTokenDataset(
        texts, tokenizer, tokenizer.eos_token_id, context_unit="words", bos_id=tokenizer.bos_token_id
    )
    num_tokens = (np.diff(dataset.offsets) - dataset.context_lengths).sum()
    num_characters = likelihood_table(texts, np.zeros(len(texts)))["characters"].sum()
    table = pd.DataFrame(json.loads((Path(run_dir) / "history.json").read_text(encoding="utf-8")))
    bits_per_character = table["val_loss"] * num_tokens / num_characters / math.log(2)
    return pd.DataFrame({"minutes": table["seconds"] / 60, "value": bits_per_character})
