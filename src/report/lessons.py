"""The tables of the lessons: how words become tokens, what a batch and the loss are, what a model's state keeps."""

import math
from collections.abc import Sequence
from html import escape

import pandas as pd
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from src.completion.word_constraint import word_starts
from src.corpus.tokenization import encode
from src.next_token_dataset import IGNORE_INDEX, NextTokenDataset, collate_batch
from src.training.loss import log_inclusion_probability, target_log_probabilities, target_states

# Its contrast is at least 4.5:1 with white and with black.
GREY = "#767676"
CELL_STYLE = "padding: 2px 3px; text-align: left"


def token_table(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> pd.DataFrame:
    """One row per text: its tokens, and the numbers of its words and tokens."""
    tokens = [tokenizer.tokenize(text) for text in texts]
    return pd.DataFrame(
        {
            "text": list(texts),
            "tokens": [" ".join(one) for one in tokens],
            "words": [len(text.split()) for text in texts],
            "number of tokens": [len(one) for one in tokens],
        }
    )


def mask_table(batch: dict[str, torch.Tensor], tokenizer: PreTrainedTokenizerBase) -> str:
    """A batch as an HTML table: one row per text, the targets bold, the context and the pads grey.

    A token is a target if it is a label. Targets have the text colour of the page, so they can be read on a white page
    and on a dark one.

    Args:
        batch: `input_ids` and `labels`, int64 [batch, length], and `lengths`, int64 [batch], from `collate_batch`.
        tokenizer: the tokenizer of the batch.
    """
    rows = []
    for input_ids, labels, length in zip(batch["input_ids"], batch["labels"], batch["lengths"].tolist()):
        # The label in the last place of a text is its end, which is never an input.
        ids = [*input_ids[:length].tolist(), int(labels[length - 1]), *input_ids[length:].tolist()]
        is_target = [False, *(labels != IGNORE_INDEX).tolist()]
        cells = map(_mask_cell, tokenizer.convert_ids_to_tokens(ids), is_target)
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return f'<table style="border-collapse: collapse">{"".join(rows)}</table>'


def _mask_cell(token: str, is_target: bool) -> str:
    if is_target:
        return f'<td style="{CELL_STYLE}"><b>{escape(token)}</b></td>'
    return f'<td style="{CELL_STYLE}; color: {GREY}">{escape(token)}</td>'


@torch.no_grad()
def token_loss_table(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, text: str) -> pd.DataFrame:
    """One row per target token of a text, its end included, with the probability that a model gives it.

    Args:
        model: an `LSTMLM` or a decoder of transformers, in evaluation mode.
        tokenizer: the tokenizer of the model.
        text: a cleaned text of two words or more.

    Returns:
        columns `token`, `probability` and `log_probability` (nats). Minus the mean of the last is the loss.
    """
    dataset = NextTokenDataset(
        [text], tokenizer, tokenizer.eos_token_id, context_unit="words", bos_id=tokenizer.bos_token_id
    )
    batch = collate_batch([dataset[0]], tokenizer.pad_token_id)
    log_probability, _ = target_log_probabilities(model, batch)
    labels = batch["labels"][batch["labels"] != IGNORE_INDEX].tolist()
    return pd.DataFrame(
        {
            "token": tokenizer.convert_ids_to_tokens(labels),
            "probability": log_probability.exp().tolist(),
            "log_probability": log_probability.tolist(),
        }
    )


def compare_losses(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """Two tables of `token_loss_table` for one text beside each other: probabilities, and below them perplexities."""
    columns = {"before": before, "after": after}
    rows = {name: [f"{p:.5f}" for p in table["probability"]] for name, table in columns.items()}
    perplexities = {name: math.exp(-table["log_probability"].mean()) for name, table in columns.items()}
    return pd.DataFrame(
        {
            "token": [*before["token"], "perplexity"],
            **{name: [*rows[name], f"{perplexities[name]:,.1f}"] for name in columns},
        }
    )


@torch.no_grad()
def sampled_softmax_table(
    model: PreTrainedModel,
    batch: dict[str, torch.Tensor],
    frequencies: torch.Tensor,
    num_samples: int = 2_000,
    num_repeats: int = 1_000,
    seed: int = 0,
) -> pd.DataFrame:
    """The softmax over the vocabulary beside its estimate from a sample of the vocabulary.

    A sample is drawn by frequency, and each of its exponentials is divided by the probability that its token is in the
    sample, as in `src.training.loss.sampled_training_loss`. So the mean of their sum over many samples is the sum over
    the vocabulary (Horvitz and Thompson, 1952). Unlike in training, the labels are not added to the sample.

    Args:
        model: as in `token_loss_table`.
        batch: as in `src.training.loss.target_states`.
        frequencies: float32 [vocab] on the CPU, the probability with which each token is drawn, above 0.
        num_samples: number of tokens in one sample, drawn with replacement.
        num_repeats: number of samples.
        seed: seed of the samples; the global random state is not used.

    Returns:
        rows for the full vocabulary, one sample, and the mean over all samples. Columns: `tokens in the sum`;
        `sum of exponentials`, divided by that over the vocabulary; `loss` in nats per target. The first two are means
        over the targets too.
    """
    hidden, labels, _ = target_states(model, batch)
    logits = model.get_output_embeddings()(hidden).double().cpu()
    label_logits = logits.gather(1, labels.cpu()[:, None])[:, 0]
    full = logits.logsumexp(dim=1)
    generator = torch.Generator().manual_seed(seed)
    estimates = []
    for _ in range(num_repeats):
        tokens = torch.multinomial(frequencies, num_samples, replacement=True, generator=generator).unique()
        log_sampled = log_inclusion_probability(frequencies[tokens], num_samples)
        sampled = (logits[:, tokens] - log_sampled).logsumexp(dim=1)
        estimates.append([len(tokens), float((sampled - full).exp().mean()), float((sampled - label_logits).mean())])
    columns = ["tokens in the sum", "sum of exponentials", "loss"]
    table = pd.DataFrame(estimates, columns=columns)
    return pd.DataFrame(
        [[logits.shape[1], 1.0, float((full - label_logits).mean())], table.iloc[0], table.mean()],
        columns=columns,
        index=["full vocabulary", "one sample", f"mean of {num_repeats:,} samples"],
    )


@torch.no_grad()
def next_word_probabilities(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, text: str, words: Sequence[str]
) -> pd.DataFrame:
    """The probability of some next words after each word of a text.

    The probability of a word is that of its tokens and of its end: no token after them may continue the word. Other
    ways to spell the word are not counted.

    Args:
        model: as in `token_loss_table`; its outputs have `logits`.
        tokenizer: the tokenizer of the model.
        text: a cleaned text.
        words: the possible next words.

    Returns:
        probabilities, one row per word of the text, named by it, and one column for each of `words`.
    """
    read = text.split(" ")
    beginnings = [" ".join(read[: i + 1]) for i in range(len(read))]
    bos_ids = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    contexts = [bos_ids + ids for ids in encode(tokenizer, beginnings)]
    candidates = encode(tokenizer, [f" {word}" for word in words])
    starts = word_starts(tokenizer, model.config.vocab_size)
    inside = torch.tensor([i for _, i in starts.inside], dtype=torch.long)
    return pd.DataFrame(
        [[_word_probability(model, context, word, inside) for word in candidates] for context in contexts],
        index=pd.Index(read, name="word read"),
        columns=list(words),
    )


def _word_probability(model: PreTrainedModel, context: list[int], word: list[int], inside: torch.Tensor) -> float:
    """Probability of a word's tokens after a context, times that of no token in `inside` after them."""
    input_ids = torch.tensor([context + word], device=model.device)
    probabilities = model(input_ids=input_ids).logits[0, len(context) - 1 :].float().softmax(dim=1).cpu()
    of_tokens = probabilities[range(len(word)), word].prod()
    return float(of_tokens * (1 - probabilities[-1, inside].sum()))
