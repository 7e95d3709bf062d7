"""A small training run that kills itself: `python -m tests.killed_training FOLDER SECONDS DROPOUT`.

After SECONDS of training the process (the last one, if there are several) is killed as by `kill -9`; 0: never.
A run that ends writes `result.pt` to FOLDER.
"""

import os
import random
import signal
import sys
from pathlib import Path
from threading import Timer

import torch
from accelerate import PartialState

from src.corpus.tokenization import train_tokenizer
from src.lstm_model import LSTMLM, LSTMConfig
from src.next_token_dataset import NextTokenDataset
from src.training.train import TrainingSettings, train

WORDS = "so the cat and my dog want tea again today but never coffee on a rainy day at home"


def main(folder: Path, seconds: float, dropout: float) -> None:
    torch.set_num_threads(1)
    rng = random.Random(0)
    texts = [" ".join(rng.choices(WORDS.split(), k=rng.randint(2, 12))) for _ in range(400)]
    tokenizer = train_tokenizer(texts, 100)
    datasets = [NextTokenDataset(split, tokenizer, tokenizer.eos_token_id) for split in (texts[:320], texts[320:])]
    torch.manual_seed(0)
    model = LSTMLM(LSTMConfig(vocab_size=len(tokenizer), embedding_dim=16, hidden_dim=24, dropout=dropout))
    settings = TrainingSettings(
        learning_rate=2e-3,
        batch_size=16,
        max_epochs=10,
        eval_steps=0.05,
        patience=20,
        all_tokens_share=0.0,
        num_sampled_tokens=0,
        bf16=False,
    )
    processes = PartialState(cpu=True)
    if seconds and processes.is_last_process:
        Timer(seconds, os.kill, (os.getpid(), signal.SIGKILL)).start()
    result = train(model, *datasets, settings, folder / "checkpoints", 0)
    name = "result.pt" if processes.is_main_process else f"result-{processes.process_index}.pt"
    torch.save({"weights": model.state_dict(), "history": result.history}, folder / name)
    # End at once, before a timer that is still running.
    os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(float, sys.argv[2:]))
