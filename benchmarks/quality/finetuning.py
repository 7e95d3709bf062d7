"""How to fine-tune the transformer: learning rates, all weights or LoRA, at equal time.

`python -m benchmarks.quality.finetuning` writes `benchmarks/results/finetuning.json`.
"""

import time
from dataclasses import asdict, dataclass

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from tqdm import tqdm

from benchmarks.common import prepared_corpus, train_in_passing, write_results
from src.evaluation.evaluate import evaluation_texts
from src.evaluation.intervals import Ratio, estimate
from src.evaluation.systems import target_likelihood
from src.models.pretrained import PretrainedLM, load_pretrained
from src.next_token_dataset import NextTokenDataset, collate_batch
from src.training.loss import training_loss
from src.training.train import TrainingSettings

MINUTES = 4.0
STEPS_TO_TIME = 4
NUM_VAL_TEXTS = 1_000
MAX_TWEETS = 20_000


@dataclass(frozen=True)
class Recipe:
    """One way to fine-tune; `lora_rank` 0 trains all weights."""

    learning_rate: float
    lora_rank: int = 0
    batch_size: int = 32


RECIPES = (
    Recipe(1e-4),
    Recipe(3e-5),
    Recipe(3e-4),
    Recipe(1e-3, lora_rank=16),
)


def with_lora(lm: PretrainedLM, rank: int) -> None:
    """Low-rank adapters beside every linear layer but the output (Hu et al., 2022), inside the same model."""
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
    lm = load_pretrained()
    if recipe.lora_rank:
        with_lora(lm, recipe.lora_rank)
    eos_id = lm.tokenizer.eos_token_id
    datasets = [
        NextTokenDataset(texts, lm.tokenizer, eos_id, context_unit="words") for texts in (train_texts, val_texts[:200])
    ]
    lm.model.train()
    num_steps = int(MINUTES * 60 / seconds_per_step(lm, datasets[0], recipe.batch_size))
    settings = TrainingSettings(
        learning_rate=recipe.learning_rate,
        batch_size=recipe.batch_size,
        max_epochs=1,
        max_tweets_seen=num_steps * recipe.batch_size,
        eval_steps=0.5,
    )
    result = train_in_passing(lm.model, datasets, settings, lm.tokenizer.pad_token_id)
    likelihood = target_likelihood(lm.model, lm.tokenizer, val_texts)
    nll, words, characters = (likelihood[name].to_numpy() for name in ("nll", "words", "characters"))
    return {
        "model": lm.name,
        **asdict(recipe),
        "trained_parameters": sum(p.numel() for p in lm.model.parameters() if p.requires_grad),
        "tweets_seen": result.history[-1]["tweets_seen"],
        "seconds": round(result.duration, 1),
        "perplexity_per_word": asdict(estimate(Ratio(nll, words, np.exp), seed=0)),
        "bits_per_character": asdict(estimate(Ratio(nll / np.log(2), characters), seed=0)),
    }


def main() -> None:
    torch.manual_seed(0)
    tweets, data = prepared_corpus()
    train_texts = tweets.texts("train", MAX_TWEETS)
    val_texts = evaluation_texts(tweets.texts("val"), NUM_VAL_TEXTS, seed=0)
    rows = [run_recipe(recipe, train_texts, val_texts) for recipe in tqdm(RECIPES, "recipes")]
    settings = {"minutes": MINUTES, "pairs": NUM_VAL_TEXTS, "seed": 0}
    write_results("finetuning", data, settings, rows, command="python -m benchmarks.quality.finetuning")


if __name__ == "__main__":
    main()
