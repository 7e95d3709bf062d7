"""Tweets per second in fine-tuning: the output layer at targets only against the library's loss over all logits."""

from functools import partial

import torch
from torch.utils.data import DataLoader
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedModel, PreTrainedTokenizerBase

from benchmarks.speed.timing import median_seconds
from src.models.pretrained import load_pretrained
from src.next_token_dataset import NextTokenDataset, collate_batch
from src.training.batches import SimilarLengthSampler
from src.training.loss import training_loss

BATCH_SIZE = 32
NUM_BATCHES = 4
TURNS = 3
# The sizes of distilgpt2, 82 million parameters.
DISTILGPT2_SIZES = {"vocab_size": 50_257, "n_layer": 6, "n_embd": 768, "n_head": 12, "n_positions": 1_024}


def library_loss(model: PreTrainedModel, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """The loss that a model of transformers returns when it gets labels."""
    positions = torch.arange(batch["input_ids"].shape[1])
    mask = (positions < batch["lengths"][:, None]).long()
    labels = batch["labels"]
    # These labels are already shifted.
    return model(input_ids=batch["input_ids"], attention_mask=mask, labels=labels, shift_labels=labels).loss


def train_on(model: PreTrainedModel, optimizer: torch.optim.Optimizer, loss_of, batches: list[dict]) -> None:
    for batch in batches:
        loss_of(model, batch).backward()
        optimizer.step()
        optimizer.zero_grad()


def finetuning_speed(texts: list[str]) -> list[dict]:
    """Two rows for each model, the library's loss and ours; the two take turns on the same batches."""
    lm = load_pretrained(device="cpu")
    random_gpt2 = GPT2LMHeadModel(GPT2Config(**DISTILGPT2_SIZES))
    rows = []
    for name, model in {lm.name: lm.model, "distilgpt2's sizes, random": random_gpt2}.items():
        batches = make_batches(texts, lm.tokenizer)
        optimizer = torch.optim.AdamW(model.train().parameters(), 1e-5, fused=True)
        losses = {"library's loss": library_loss, "at targets": training_loss}
        seconds = median_seconds(
            {which: partial(train_on, model, optimizer, loss_of, batches) for which, loss_of in losses.items()}, TURNS
        )
        speed = {which: BATCH_SIZE * NUM_BATCHES / value for which, value in seconds.items()}
        rows += [
            {
                "model": name,
                "loss": which,
                "tweets per second": round(value, 1),
                "times the library's": round(value / speed["library's loss"], 2),
            }
            for which, value in speed.items()
        ]
    return rows


def make_batches(texts: list[str], tokenizer: PreTrainedTokenizerBase) -> list[dict]:
    """The first batches of a random order; the texts of each have similar lengths."""
    dataset = NextTokenDataset(texts, tokenizer, tokenizer.eos_token_id, context_unit="words")
    sampler = SimilarLengthSampler(dataset.lengths, BATCH_SIZE, seed=0)
    loader = DataLoader(
        dataset, BATCH_SIZE, sampler=sampler, collate_fn=partial(collate_batch, pad_id=tokenizer.pad_token_id)
    )
    return [batch for batch, _ in zip(loader, range(NUM_BATCHES))]
