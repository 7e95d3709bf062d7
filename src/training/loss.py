"""One loss for every model: hidden states at target positions first, then the output layer.

In fine-tuning and in every score, three quarters of the labels are masked. The output layer, the
most expensive one, is therefore applied to a quarter of the positions; the loss and its gradients
equal those of the full logits. A model that learns from all tokens can be trained on a sample of
the vocabulary instead, which makes the output layer cheap; every score uses the full vocabulary.

A model without hidden states, such as an n-gram model, offers its `target_log_probabilities` instead.
"""

from functools import partial

import numpy as np
import torch
from torch.nn.functional import cross_entropy, linear
from torch.utils.data import DataLoader
from tqdm import tqdm
from transformers import PreTrainedModel

from src.next_token_dataset import IGNORE_INDEX, NextTokenDataset, collate_batch

# Rows in one block of the training loss. More rows share one read of the output layer; fewer need less memory.
ROWS_AT_ONCE = {"cpu": 256, "cuda": 8_192, "mps": 2_048}
# With these settings Gemma, Cohere and Granite change the logits after the output layer.
SCALING_OF_LOGITS = ("final_logit_softcapping", "logit_scale", "logits_scaling")


def target_states(
    model: PreTrainedModel, batch: dict[str, torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The hidden states from which target tokens are predicted.

    Args:
        model: an `LSTMLM` or a decoder of transformers with a base model and an output layer whose
            outputs are its logits.
        batch: `input_ids` and `labels`, int64 [batch, length], padded on the right.

    Returns:
        `hidden` [targets, width], `labels`, int64 [targets], and `rows`, int64 [targets], the
        batch row of each target, on the model's device.

    Raises:
        ValueError: the model scales its logits after the output layer.
    """
    for name in SCALING_OF_LOGITS:
        if getattr(model.config, name, None) not in (None, 1):
            raise ValueError(f"the model has a {name}, which the loss does not support: choose another model")
    input_ids, labels = _on_device_of(model, batch)
    # Pads come after all tokens of their row, where a causal model does not see them: no mask is needed.
    hidden = model.base_model(input_ids=input_ids).last_hidden_state
    is_target = labels != IGNORE_INDEX
    return hidden[is_target], labels[is_target], is_target.nonzero()[:, 0]


def target_nll(model: PreTrainedModel, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Negative log-likelihood of every target token in a batch.

    Args:
        model: as in `target_states`, or a model with the method `target_log_probabilities` of `KneserNeyLM`.
        batch: as in `target_states`.

    Returns:
        `nll` in nats, float32 [targets], and `rows`, int64 [targets], the batch row of each target.
    """
    if hasattr(model, "target_log_probabilities"):
        input_ids, labels = _on_device_of(model, batch)
        return -model.target_log_probabilities(input_ids, labels), (labels != IGNORE_INDEX).nonzero()[:, 0]
    hidden, labels, rows = target_states(model, batch)
    logits = model.get_output_embeddings()(hidden)
    return cross_entropy(logits.float(), labels, reduction="none"), rows


def target_log_probabilities(
    model: PreTrainedModel, batch: dict[str, torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probability of every target token, and of the most probable token in its place, float32 [targets].

    Args:
        model, batch: as in `target_states`.
    """
    hidden, labels, _ = target_states(model, batch)
    log_probabilities = model.get_output_embeddings()(hidden).float().log_softmax(dim=1)
    return log_probabilities.gather(1, labels[:, None])[:, 0], log_probabilities.amax(dim=1)


def _on_device_of(model: PreTrainedModel, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    return batch["input_ids"].to(model.device), batch["labels"].to(model.device)


def training_loss(model: PreTrainedModel, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Mean of `target_nll` in a batch, float32 scalar, without all logits in memory at once."""
    hidden, labels, _ = target_states(model, batch)
    output_layer = model.get_output_embeddings()
    return BlockwiseCrossEntropy.apply(hidden, output_layer.weight, output_layer.bias, labels)


def sampled_training_loss(
    model: PreTrainedModel, batch: dict[str, torch.Tensor], frequencies: torch.Tensor, num_samples: int
) -> torch.Tensor:
    """`training_loss` over a sample of the vocabulary: the batch's own labels and drawn tokens.

    Sampled softmax (Jean et al., 2015): each logit is reduced by the logarithm of the probability that
    its token is in the sample, so that the model learns the probabilities over the full vocabulary.

    Args:
        model, batch: as in `target_states`.
        frequencies: float32 [vocab], the probability with which each token is drawn, above 0.
        num_samples: number of tokens to draw by their frequencies, with replacement.
    """
    hidden, labels, _ = target_states(model, batch)
    drawn = torch.multinomial(frequencies, num_samples, replacement=True)
    tokens, places = torch.cat([labels, drawn]).unique(return_inverse=True)
    # The labels count as draws, too.
    log_sampled = log_inclusion_probability(frequencies[tokens], len(places))
    output_layer = model.get_output_embeddings()
    bias = -log_sampled if output_layer.bias is None else output_layer.bias[tokens] - log_sampled
    return BlockwiseCrossEntropy.apply(hidden, output_layer.weight[tokens], bias, places[: len(labels)])


def log_inclusion_probability(frequencies: torch.Tensor, num_draws: int) -> torch.Tensor:
    """Logarithm of the probability that a token is drawn at least once: log(1 - (1 - frequency)^draws).

    Args:
        frequencies: float32 [tokens], the probability with which each token is drawn, above 0.
        num_draws: number of draws, with replacement.
    """
    return torch.log1p(-frequencies).mul(num_draws).expm1().neg().log()


def token_frequencies(dataset: NextTokenDataset, vocab_size: int) -> torch.Tensor:
    """Unigram frequencies of a dataset, beginnings and ends of texts included, add-one smoothed: float32 [vocab]."""
    counts = np.bincount(dataset.token_ids, minlength=vocab_size) + 1.0
    return torch.tensor(counts / counts.sum(), dtype=torch.float32)


class BlockwiseCrossEntropy(torch.autograd.Function):
    """`cross_entropy(linear(hidden, weight, bias), labels)` without all logits in memory at once.

    The forward pass computes loss and gradients of one block of rows before the next (the fused
    loss of Liger Kernel; Hsu et al., 2024). Under autocast the matrix products use its dtype;
    the softmax and every sum use float32.
    """

    @staticmethod
    def forward(ctx, hidden, weight, bias, labels) -> torch.Tensor:
        device = hidden.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype
        inputs, layer = hidden.to(dtype), weight.to(dtype)
        grad_hidden = torch.empty_like(hidden)
        grad_weight = torch.zeros_like(weight, dtype=torch.float32)
        grad_bias = torch.zeros_like(weight[:, 0], dtype=torch.float32)
        loss = torch.zeros((), device=hidden.device)
        with torch.autocast(device, enabled=False):
            for start in range(0, len(labels), ROWS_AT_ONCE[device]):
                block = slice(start, start + ROWS_AT_ONCE[device])
                label = labels[block, None]
                logits = linear(inputs[block], layer)
                # The bias of a sampled softmax needs more precision than bfloat16 has.
                logits = logits if bias is None else logits + bias
                log_probabilities = logits.log_softmax(1, torch.float32)
                loss -= log_probabilities.gather(1, label).sum()
                grad_logits = log_probabilities.exp_()
                grad_logits.scatter_add_(1, label, torch.full_like(label, -1, dtype=torch.float32))
                grad_bias += grad_logits.sum(dim=0)
                grad_logits = grad_logits.to(dtype)
                grad_hidden[block] = grad_logits @ layer
                grad_weight += grad_logits.T @ inputs[block]
        ctx.save_for_backward(grad_hidden, grad_weight, grad_bias)
        ctx.dtypes = weight.dtype, None if bias is None else bias.dtype
        ctx.num_targets = len(labels)
        return loss / len(labels)

    @staticmethod
    def backward(ctx, grad_loss):
        scale = grad_loss / ctx.num_targets
        grad_hidden, grad_weight, grad_bias = (grad * scale for grad in ctx.saved_tensors)
        weight_dtype, bias_dtype = ctx.dtypes
        grad_bias = None if bias_dtype is None else grad_bias.to(bias_dtype)
        return grad_hidden, grad_weight.to(weight_dtype), grad_bias, None


@torch.no_grad()
def dataset_nll(
    model: PreTrainedModel, dataset: NextTokenDataset, batch_size: int, pad_id: int
) -> tuple[np.ndarray, np.ndarray]:
    """Negative log-likelihood of every text's targets.

    Args:
        model: as in `target_nll`; scored in evaluation mode, and left in the mode it was in.

    Returns:
        `nll`, float64 [texts], in nats, summed over a text's target tokens and its end, and
        `num_targets`, int64 [texts], the number of these tokens.
    """
    was_training = model.training
    model.eval()
    # Texts of similar length share a batch; results return to the dataset's order.
    order = np.argsort(dataset.lengths, kind="stable")
    loader = DataLoader(dataset, batch_size, sampler=order.tolist(), collate_fn=partial(collate_batch, pad_id=pad_id))
    nll, num_targets = [], []
    for batch in tqdm(loader, "scoring", leave=False, position=0, mininterval=1):
        token_nll, rows = target_nll(model, batch)
        num_rows = len(batch["lengths"])
        nll.append(torch.zeros(num_rows).index_add(0, rows.cpu(), token_nll.cpu()).numpy())
        num_targets.append(rows.cpu().bincount(minlength=num_rows).numpy())
    model.train(was_training)
    in_order = np.argsort(order)
    return np.concatenate(nll).astype(np.float64)[in_order], np.concatenate(num_targets)[in_order]
