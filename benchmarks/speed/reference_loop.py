"""The usual loop, as a baseline for speed: texts are tokenized one by one, batches are random, all logits are computed.

Its loss and gradients equal those of `src.training.loss.training_loss`; `tests/benchmarks/test_benchmarks.py` compares
them.
"""

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Dataset
from transformers import PreTrainedTokenizerBase

from src.data_utils import CONTEXT_SHARE
from src.lstm_model import LSTMLM
from src.next_token_dataset import IGNORE_INDEX


class ReferenceDataset(Dataset):
    """Tokenizes a text whenever it is read."""

    def __init__(self, texts: list[str], tokenizer: PreTrainedTokenizerBase):
        self.texts, self.tokenizer = texts, tokenizer

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        ids = self.tokenizer.encode(self.texts[index], add_special_tokens=False)
        labels = torch.tensor([*ids[1:], self.tokenizer.eos_token_id])
        labels[: max(0, int(len(ids) * CONTEXT_SHARE) - 1)] = IGNORE_INDEX
        return torch.tensor(ids), labels


def reference_collate(batch: list[tuple[torch.Tensor, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """`input_ids` and `labels`, int64 [batch, longest], padded on the right, and `lengths`, int64 [batch]."""
    input_ids, labels = zip(*batch)
    return {
        "input_ids": nn.utils.rnn.pad_sequence(input_ids, batch_first=True),
        "labels": nn.utils.rnn.pad_sequence(labels, batch_first=True, padding_value=IGNORE_INDEX),
        "lengths": torch.tensor([len(ids) for ids in input_ids]),
    }


def reference_loader(texts: list[str], tokenizer: PreTrainedTokenizerBase, batch_size: int) -> DataLoader:
    dataset = ReferenceDataset(texts, tokenizer)
    return DataLoader(dataset, batch_size, shuffle=True, collate_fn=reference_collate, drop_last=True)


def reference_loss(model: LSTMLM, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Compute the logits at all positions, padding and context included, and the loss where there are labels."""
    embedded = model.backbone.dropout(model.backbone.embedding(batch["input_ids"]))
    output, _ = model.backbone.lstm(embedded)
    logits = model.lm_head(model.backbone.dropout(model.backbone.projection(output)))
    return cross_entropy(logits.flatten(0, 1), batch["labels"].flatten(), ignore_index=IGNORE_INDEX)
