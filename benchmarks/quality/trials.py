"""Trials for the LSTM: one change at a time, at equal computing time, scored on validation tweets.

`python -m benchmarks.quality.trials NAME ...` trains the trials named, one after the other on one thread, and appends
a row for each to `benchmarks/results/trials.jsonl`. Equal time means: the number of steps is that of the full softmax
divided by the step time, in units of that of the full softmax. The step time is measured before each trial, in turns
with that of the full softmax, unless `benchmarks/results/trial_step_times.json` has it.

`--step-time` measures step times alone and keeps them in that file. A trial that is there can be trained on a GPU
(`--device cuda`): it then takes as many steps as one CPU core would take in the same time.
"""

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import count
from typing import Literal

import numpy as np
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import BatchSampler
from tqdm import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from benchmarks.common import RESULTS_DIR, prepared_corpus
from benchmarks.quality.variants import SPELLINGS, trial_loss, vary, with_noise
from src.corpus.tokenization import train_tokenizer
from src.data_utils import PreparedTweets, split_x_target_by_words
from src.evaluation.intervals import estimate
from src.evaluation.metrics import bits_per_character, perplexity_per_word
from src.evaluation.selection import validation_texts
from src.evaluation.systems import target_likelihood
from src.files import json_text, write_json
from src.lstm_model import LSTMConfig
from src.models.small_transformer import new_small_transformer
from src.next_token_dataset import NextTokenDataset, collate_batch
from src.recipe import new_lstm
from src.training.batches import SimilarLengthSampler
from src.training.loss import token_frequencies
from src.training.muon import WithMuon, hidden_matrices

LOG = RESULTS_DIR / "trials.jsonl"
STEP_TIMES = RESULTS_DIR / "trial_step_times.json"
TURNS = 5
STEPS_IN_TURN = 4


@dataclass(frozen=True)
class Trial:
    """Everything that a trial may change.

    0 turns off a dropout, the noise, the label smoothing, the running average and the sampling of the softmax.
    `muon_rate` is the learning rate of Muon (Jordan et al., 2024) for the matrices of LSTM and projection; 0: they are
    trained by AdamW like everything else. `num_samples_on_target` is the number of samples while the loss counts
    targets alone; None: `num_samples`.
    """

    architecture: Literal["lstm", "transformer"] = "lstm"
    spelling: str = "as it is"
    vocab_size: int = 12_000
    embedding_dim: int = 256
    hidden_dim: int = 640
    num_layers: int = 1
    recurrent_projection: bool = False
    tied: bool = True
    dropout: float = 0.1
    word_dropout: float = 0.0
    input_dropout: float = 0.0
    output_dropout: float = 0.0
    weight_dropout: float = 0.0
    noise: float = 0.0
    layer_norm: bool = False
    loss_on: str = "all"
    label_smoothing: float = 0.0
    num_samples: int = 0
    num_samples_on_target: int | None = None
    start_token: bool = True
    learning_rate: float = 2e-3
    batch_size: int = 128
    pool_batches: int = 50
    schedule: str = "linear"
    warmup_share: float = 0.05
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    average: float = 0.0
    muon_rate: float = 0.0
    num_train: int = 40_000
    base_steps: int = 900
    seed: int = 0


FULL_SOFTMAX = Trial(num_train=100_000, base_steps=1_200)
SAMPLED = replace(FULL_SOFTMAX, num_samples=1_000)
# As many passes over its tweets as the real training makes, on fewer tweets.
BASE = Trial(num_samples=2_000, learning_rate=4e-3, loss_on="all then target")
KEPT = replace(BASE, dropout=0.3, num_samples_on_target=0)
HALF = replace(KEPT, num_train=20_000, base_steps=450)
LONG = replace(KEPT, num_train=120_000, base_steps=2_700)
# On the complete large corpus, where no tweet is seen twice: 11 minutes on the core of these trials.
LARGE = replace(BASE, loss_on="all", num_train=1_200_000, base_steps=2_600)
# Twice the budget of the final comparison: three hours on the core of the step times.
FULL_LENGTH = replace(LARGE, dropout=0.0, base_steps=20_800)
MUON = replace(FULL_LENGTH, muon_rate=0.02, batch_size=256)
SMALL_TRANSFORMER = replace(FULL_LENGTH, architecture="transformer", learning_rate=2e-3)
TRIALS = {
    "full softmax": FULL_SOFTMAX,
    "sampled softmax": SAMPLED,
    "sampled, batch 64": replace(SAMPLED, batch_size=64),
    "sampled, rate 4e-3": replace(SAMPLED, learning_rate=4e-3),
    "base": BASE,
    "dropout 0.2": replace(BASE, dropout=0.2),
    "dropout 0.3": replace(BASE, dropout=0.3),
    "dropout 0.4": replace(BASE, dropout=0.4),
    "dropout 0.3, batch 64": replace(BASE, dropout=0.3, batch_size=64),
    "locked dropout 0.3": replace(BASE, input_dropout=0.3, output_dropout=0.3),
    "noise 0.1, dropout 0.3": replace(BASE, noise=0.1, dropout=0.3),
    "full vocabulary on the target": replace(BASE, num_samples_on_target=0),
    "kept": KEPT,
    "6,000 samples": replace(KEPT, num_samples=6_000),
    "batch 64": replace(KEPT, batch_size=64),
    "average 0.998": replace(KEPT, average=0.998),
    "rate 8e-3": replace(KEPT, learning_rate=8e-3),
    "one-cycle": replace(KEPT, schedule="cosine", warmup_share=0.3, learning_rate=8e-3),
    "cosine": replace(KEPT, schedule="cosine"),
    "vocabulary 8k": replace(KEPT, vocab_size=8_000),
    "three times as long": LONG,
    "three times as long, rate 8e-3": replace(LONG, learning_rate=8e-3),
    "three times as long, layer norm": replace(LONG, layer_norm=True),
    "half as long": HALF,
    "half, seed 1": replace(HALF, seed=1),
    "half, all tokens to the end": replace(HALF, loss_on="all"),
    "half, target only": replace(HALF, loss_on="target"),
    "half, vocabulary 4k": replace(HALF, vocab_size=4_000),
    "half, vocabulary 16k": replace(HALF, vocab_size=16_000),
    "half, two layers of 448": replace(HALF, hidden_dim=448, num_layers=2),
    "half, projection in the recurrence, width 1024": replace(HALF, recurrent_projection=True, hidden_dim=1_024),
    "half, not tied": replace(HALF, tied=False),
    "half, no projection: width and embedding 448": replace(HALF, embedding_dim=448, hidden_dim=448),
    "half, weight dropout 0.3": replace(HALF, weight_dropout=0.3),
    "half, word dropout 0.1": replace(HALF, word_dropout=0.1),
    "half, layer norm": replace(HALF, layer_norm=True),
    "half, label smoothing 0.1": replace(HALF, label_smoothing=0.1),
    "half, weight decay 0.1": replace(HALF, weight_decay=0.1),
    "half, no start token": replace(HALF, start_token=False),
    "half, batches of any length": replace(HALF, pool_batches=1),
    "half, pools of 4 batches": replace(HALF, pool_batches=4),
    "half, digits as zeros": replace(HALF, spelling="digits as zeros"),
    "half, letters at most twice in a row": replace(HALF, spelling="letters at most twice in a row"),
    "large": LARGE,
    "large, seed 1": replace(LARGE, seed=1),
    "large, width 896": replace(LARGE, hidden_dim=896),
    "large, no dropout": replace(LARGE, dropout=0.0),
    "large, rate 8e-3": replace(LARGE, learning_rate=8e-3),
    "large, Muon": replace(LARGE, muon_rate=0.02),
    "large, Muon, batch 256": replace(LARGE, muon_rate=0.02, batch_size=256),
    "large, Muon, batch 512": replace(LARGE, muon_rate=0.02, batch_size=512),
    "large, batch 64": replace(LARGE, batch_size=64),
    "large, batch 256": replace(LARGE, batch_size=256),
    "large, vocabulary 16k": replace(LARGE, vocab_size=16_000),
    "large, 1,000 samples": replace(LARGE, num_samples=1_000),
    "large, 4,000 samples": replace(LARGE, num_samples=4_000),
    "large, layer norm": replace(LARGE, layer_norm=True),
    "full length, AdamW": FULL_LENGTH,
    "full length": MUON,
    "full length, seed 1": replace(MUON, seed=1),
    "full length, dropout 0.1": replace(MUON, dropout=0.1),
    "full length, AdamW, batch 256": replace(FULL_LENGTH, batch_size=256),
    "full length, batch 128": replace(MUON, batch_size=128),
    "full length, batch 512": replace(MUON, batch_size=512),
    "full length, Muon at 0.04": replace(MUON, muon_rate=0.04),
    "full length, Muon at 0.01": replace(MUON, muon_rate=0.01),
    "full length, rate 8e-3": replace(MUON, learning_rate=8e-3),
    "full length, rate 2e-3": replace(MUON, learning_rate=2e-3),
    "full length, 4,000 samples": replace(MUON, num_samples=4_000),
    "full length, vocabulary 16k": replace(MUON, vocab_size=16_000),
    "full length, vocabulary 8k": replace(MUON, vocab_size=8_000),
    "full length, width 896": replace(MUON, hidden_dim=896),
    "full length, embedding 320, width 768": replace(MUON, embedding_dim=320, hidden_dim=768),
    "full length, two layers of 512": replace(MUON, hidden_dim=512, num_layers=2),
    "full length, projection in the recurrence, width 1024": replace(MUON, recurrent_projection=True, hidden_dim=1_024),
    "full length, layer norm": replace(MUON, layer_norm=True),
    "full length, cosine": replace(MUON, schedule="cosine"),
    "full length, weight decay 0.1": replace(MUON, weight_decay=0.1),
    "full length, transformer at 1e-3": replace(SMALL_TRANSFORMER, learning_rate=1e-3),
    "full length, transformer at 2e-3": SMALL_TRANSFORMER,
    "full length, transformer at 4e-3": replace(SMALL_TRANSFORMER, learning_rate=4e-3),
    "full length, transformer at 2e-3, batch 256": replace(SMALL_TRANSFORMER, batch_size=256),
    "full length, transformer at 4e-3, batch 256": replace(SMALL_TRANSFORMER, learning_rate=4e-3, batch_size=256),
    "full length, transformer, Muon": replace(SMALL_TRANSFORMER, muon_rate=0.02),
    "full length, transformer, Muon at 0.01": replace(SMALL_TRANSFORMER, muon_rate=0.01),
    "full length, transformer, Muon, batch 256": replace(SMALL_TRANSFORMER, muon_rate=0.02, batch_size=256),
    "large, 75% of the steps on all tokens": replace(LARGE, loss_on="all then target", num_samples_on_target=0),
}


def learning_rate_share(step: int, num_steps: int, trial: Trial) -> float:
    """The learning rate at a step as a share of its peak."""
    warmup = num_steps * trial.warmup_share
    if step < warmup:
        return (step + 1) / warmup
    progress = (step - warmup) / (num_steps - warmup)
    return 1 - progress if trial.schedule == "linear" else 0.5 * (1 + np.cos(np.pi * progress))


def batches(dataset: NextTokenDataset, trial: Trial) -> Iterator[list[int]]:
    """Indices of the texts of each batch, pass after pass without end."""
    sampler = SimilarLengthSampler(dataset.lengths, trial.batch_size, trial.seed, trial.pool_batches)
    for epoch in count():
        sampler.set_epoch(epoch)
        yield from BatchSampler(sampler, trial.batch_size, drop_last=False)


def make_optimizer(model: PreTrainedModel, trial: Trial) -> torch.optim.Optimizer:
    """AdamW for all weights, or for those that Muon leaves to it."""
    adamw = torch.optim.AdamW(model.parameters(), trial.learning_rate, weight_decay=trial.weight_decay, fused=True)
    if not trial.muon_rate:
        return adamw
    return WithMuon(adamw, hidden_matrices(model), trial.muon_rate, trial.weight_decay)


def new_model(trial: Trial, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """The untrained model of a trial."""
    if trial.architecture == "transformer":
        return new_small_transformer(tokenizer, trial.seed)
    config = LSTMConfig(
        embedding_dim=trial.embedding_dim,
        hidden_dim=trial.hidden_dim,
        num_layers=trial.num_layers,
        dropout=trial.dropout,
        tie_word_embeddings=trial.tied,
    )
    return vary(new_lstm(tokenizer, config, trial.seed), trial)


class TrialRun:
    """A trial with its model and its data."""

    def __init__(self, trial: Trial, tweets: PreparedTweets, device: str = "cpu"):
        self.trial = trial
        train_texts = [SPELLINGS[trial.spelling](text) for text in tweets.texts("train", trial.num_train)]
        self.tokenizer = train_tokenizer(train_texts, trial.vocab_size)
        if not trial.start_token:
            self.tokenizer.bos_token = None
        ids = {"eos_id": self.tokenizer.eos_token_id, "bos_id": self.tokenizer.bos_token_id}
        self.datasets = {
            unit: NextTokenDataset(train_texts, self.tokenizer, context_unit=unit, **ids)
            for unit in (("none",) if trial.loss_on == "all" else ("none", "words"))
        }
        self.model = new_model(trial, self.tokenizer).to(device)
        self.frequencies = token_frequencies(self.datasets["none"], len(self.tokenizer)).to(device)

    def train(self, num_steps: int) -> None:
        """Train from the present weights, with a fresh optimizer and a full schedule."""
        trial, model = self.trial, self.model.train()
        optimizer = make_optimizer(model, trial)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda i: learning_rate_share(i, num_steps, trial))
        average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(trial.average)) if trial.average else None
        first_on_target = {"all": num_steps, "target": 0, "all then target": int(0.75 * num_steps)}[trial.loss_on]
        drawn = batches(self.datasets["none"], trial)
        for step in tqdm(range(num_steps), mininterval=30):
            self.loss(next(drawn), on_target=step >= first_on_target).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), trial.max_grad_norm)
            optimizer.step()
            schedule.step()
            model.zero_grad()
            if average is not None:
                average.update_parameters(model)
        if average is not None:
            model.load_state_dict(average.module.state_dict())
        model.eval()

    def loss(self, indices: list[int], on_target: bool) -> torch.Tensor:
        """The loss of one batch, over the targets alone or over all tokens."""
        trial, dataset = self.trial, self.datasets["words" if on_target else "none"]
        batch = collate_batch([dataset[i] for i in indices])
        if trial.noise:
            batch = with_noise(batch, self.frequencies, trial.noise)
        num_samples = trial.num_samples
        if on_target and trial.num_samples_on_target is not None:
            num_samples = trial.num_samples_on_target
        with torch.autocast(self.model.device.type, torch.bfloat16):
            return trial_loss(self.model, batch, trial.label_smoothing, num_samples, self.frequencies)


def measure_step_time(trial: Trial, tweets: PreparedTweets) -> float:
    """Median time of a step over that of the full softmax; the two take turns."""
    runs = [TrialRun(replace(each, num_train=20_000), tweets) for each in (FULL_SOFTMAX, trial)]
    seconds: list[list[float]] = [[], []]
    for turn in range(TURNS + 1):
        for run, values in zip(runs, seconds):
            started = time.process_time()
            run.train(STEPS_IN_TURN)
            if turn:
                values.append(time.process_time() - started)
    return float(np.median(seconds[1]) / np.median(seconds[0]))


def spelt_alike(text: str) -> bool:
    """Whether no spelling changes a text. Only on such texts can the perplexities of spellings be compared."""
    return all(spell(text) == text for spell in SPELLINGS.values())


def known_step_times() -> dict[str, float]:
    """The step times measured so far, by name of the trial."""
    return json.loads(STEP_TIMES.read_text(encoding="utf-8")) if STEP_TIMES.is_file() else {}


def run_trial(name: str, tweets: PreparedTweets, device: str = "cpu") -> dict:
    """Train a trial for the number of steps that its step time allows, and score it."""
    trial = TRIALS[name]
    step_time = known_step_times().get(name) or measure_step_time(trial, tweets)
    num_steps = round(trial.base_steps / step_time)
    run = TrialRun(trial, tweets, device)
    started = time.process_time()
    run.train(num_steps)
    core_minutes = (time.process_time() - started) / 60
    texts = validation_texts(tweets, seed=0)
    likelihood = target_likelihood(run.model, run.tokenizer, [SPELLINGS[trial.spelling](text) for text in texts])
    plain = np.array([spelt_alike(split_x_target_by_words(text)[1]) for text in texts])
    return {
        "name": name,
        "parameters": run.model.num_parameters(),
        "step_time": round(step_time, 3),
        "device": device,
        "core_minutes": round(core_minutes, 2),
        "steps": num_steps,
        "epochs": round(num_steps * trial.batch_size / trial.num_train, 2),
        "perplexity_per_word": asdict(estimate(perplexity_per_word(likelihood), seed=0)),
        "perplexity_of_plain_targets": asdict(estimate(perplexity_per_word(likelihood[plain]), seed=0)),
        "bits_per_character": bits_per_character(likelihood).value,
        "trial": asdict(trial),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="+", choices=TRIALS, metavar="NAME")
    parser.add_argument("--step-time", action="store_true", help="measure the step times alone, on one CPU core")
    parser.add_argument("--device", default="cpu", help="where to train (default: cpu)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    tweets, _ = prepared_corpus()
    for name in args.names:
        if args.step_time:
            write_json(STEP_TIMES, {**known_step_times(), name: round(measure_step_time(TRIALS[name], tweets), 4)})
            continue
        row = run_trial(name, tweets, args.device)
        with LOG.open("a", encoding="utf-8") as log:
            log.write(json_text(row) + "\n")


if __name__ == "__main__":
    main()
