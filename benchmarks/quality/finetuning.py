"""How to fine-tune the transformer: learning rates, all weights or LoRA, at equal time.

`python -m benchmarks.quality.finetuning` writes `benchmarks/results/finetuning.json`.
"""

import argparse
import time
from dataclasses import asdict, dataclass

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from tqdm import tqdm

from benchmarks.common import prepared_corpus, temporary_checkpoints, write_results
from src.evaluation.intervals import estimate
from src.evaluation.metrics import bits_per_character, perplexity_per_word
from src.evaluation.selection import validation_texts
from src.evaluation.systems import target_likelihood
from src.models.pretrained import PretrainedLM, load_pretrained
from src.next_token_dataset import NextTokenDataset, collate_batch
from src.recipe import token_datasets
from src.training.loss import training_loss
from src.training.train import TrainingSettings, train

MINUTES = 4.0
STEPS_TO_TIME = 4
NUM_VAL_TEXTS = 1_000
MAX_TWEETS = 20_000


@dataclass(frozen=True)
class Recipe:
    """One way to fine-tune; with `lora_rank` 0 all weights are trained."""

    learning_rate: float
    lora_rank: int = 0
    batch_size: int = 32

    def settings(self, num_steps: int) -> TrainingSettings:
        """The training settings for so many steps, with the loss on targets alone from the first step."""
        return TrainingSettings(
            learning_rate=self.learning_rate,
            muon_learning_rate=0.0,
            batch_size=self.batch_size,
            max_epochs=1,
            max_tweets_seen=num_steps * self.batch_size,
            eval_steps=0.5,
            all_tokens_share=0.0,
            num_sampled_tokens=0,
            bf16=False,
        )


RECIPES = (
    Recipe(1e-4),
    Recipe(3e-5),
    Recipe(3e-4),
    Recipe(1e-3, lora_rank=16),
)


def with_lora(lm: PretrainedLM, rank: int) -> None:
    """Add low-rank adapters to every linear layer except the output layer, in place (Hu et al., 2022)."""
    get_peft_model(lm.model, LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear"))


def seconds_per_step(lm: PretrainedLM, dataset: NextTokenDataset, batch_size: int) -> float:
    """Median time of a forward and a backward pass on random batches."""
    rng, seconds = np.random.default_rng(0), []
    for _ in range(STEPS_TO_TIME):
        batch = collate_batch([dataset[i] for i in rng.choice(len(dataset), batch_size)], lm.tokenizer.pad_token_id)
        started = time.perf_counter()
        training_loss(lm.model, batch).backward()
        seconds.append(time.perf_counter() - started)
    lm.model.zero_grad()
    return float(np.median(seconds[1:]))


def run_recipe(recipe: Recipe, train_texts: list[str], val_texts: list[str]) -> dict:
    """Fine-tune a fresh model for `MINUTES` and score it."""
    lm = load_pretrained()
    if recipe.lora_rank:
        with_lora(lm, recipe.lora_rank)
    datasets = token_datasets(lm.tokenizer, train_texts, val_texts[:200])
    lm.model.train()
    num_steps = int(MINUTES * 60 / seconds_per_step(lm, datasets[0], recipe.batch_size))
    with temporary_checkpoints() as folder:
        result = train(lm.model, *datasets, recipe.settings(num_steps), folder, lm.tokenizer.pad_token_id)
    likelihood = target_likelihood(lm.model, lm.tokenizer, val_texts)
    return {
        "model": lm.name,
        **asdict(recipe),
        "trained_parameters": sum(p.numel() for p in lm.model.parameters() if p.requires_grad),
        "tweets_seen": result.history[-1]["tweets_seen"],
        "seconds": round(result.duration, 1),
        "perplexity_per_word": asdict(estimate(perplexity_per_word(likelihood), seed=0)),
        "bits_per_character": asdict(estimate(bits_per_character(likelihood), seed=0)),
    }


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    torch.manual_seed(0)
    tweets, data = prepared_corpus()
    train_texts, val_texts = tweets.texts("train", MAX_TWEETS), validation_texts(tweets, 0, NUM_VAL_TEXTS)
    rows = [run_recipe(recipe, train_texts, val_texts) for recipe in tqdm(RECIPES, "recipes")]
    settings = {"minutes": MINUTES, "pairs": NUM_VAL_TEXTS, "seed": 0}
    write_results("finetuning", data, settings, rows, command="python -m benchmarks.quality.finetuning")


if __name__ == "__main__":
    main()
