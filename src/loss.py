"""The one loss of both models: hidden states at target positions first, then the output layer.

Where three quarters of the labels are masked, in fine-tuning and in every score, the output
layer, the most expensive one, is applied to a quarter of the rows; the loss and its gradients
are those of the full logits.
"""

from functools import partial

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader
from tqdm import tqdm
from transformers import PreTrainedModel

from src.next_token_dataset import IGNORE_INDEX, NextTokenDataset, collate_batch


def target_nll(model: PreTrainedModel, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Negative log-likelihood of every target token in a batch.

    Args:
        model: an `LSTMLM` or any decoder of transformers with a base model and an output layer.
        batch: `input_ids` and `labels` [batch, length], `lengths` [batch], padded on the right.

    Returns:
        `nll` in nats, float32 [targets], and `rows`, int64 [targets], the batch row of each.
    """
    input_ids, labels = batch["input_ids"], batch["labels"]
    positions = torch.arange(input_ids.shape[1], device=input_ids.device)
    attention_mask = (positions < batch["lengths"][:, None]).long()
    hidden = model.base_model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
    is_target = labels != IGNORE_INDEX
    logits = model.get_output_embeddings()(hidden[is_target])
    nll = cross_entropy(logits.float(), labels[is_target], reduction="none")
    return nll, is_target.nonzero()[:, 0]


@torch.no_grad()
def dataset_nll(
    model: PreTrainedModel, dataset: NextTokenDataset, batch_size: int, pad_id: int
) -> tuple[np.ndarray, np.ndarray]:
    """Negative log-likelihood of every text's targets.

    Returns:
        `nll`, float64 [texts], nats summed over a text's target tokens and its end, and
        `num_targets`, int64 [texts], how many they are.
    """
    was_training = model.training
    model.eval()
    # Texts of similar length share a batch; the result goes back into the dataset's order.
    order = np.argsort(dataset.lengths, kind="stable")
    loader = DataLoader(dataset, batch_size, sampler=order.tolist(), collate_fn=partial(collate_batch, pad_id=pad_id))
    nll, num_targets = [], []
    for batch in tqdm(loader, "scoring", leave=False, position=0, mininterval=1):
        batch = {name: tensor.to(model.device) for name, tensor in batch.items()}
        token_nll, rows = target_nll(model, batch)
        num_rows = len(batch["lengths"])
        nll.append(torch.zeros(num_rows).index_add(0, rows.cpu(), token_nll.cpu()).numpy())
        num_targets.append(rows.cpu().bincount(minlength=num_rows).numpy())
    model.train(was_training)
    in_order = np.argsort(order)
    return np.concatenate(nll).astype(np.float64)[in_order], np.concatenate(num_targets)[in_order]
