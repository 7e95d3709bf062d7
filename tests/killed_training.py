"""A small training in a process of its own that kills itself: `python -m tests.killed_training FOLDER SECONDS`.

After so many seconds of training it is killed as by `kill -9`, wherever it is; 0 lets it end. At its end it writes
`weights.pt` to the folder.
"""

import os
import random
import signal
import sys
from pathlib import Path
from threading import Timer

import torch

from src.lstm_model import LSTMLM, LSTMConfig
from src.next_token_dataset import NextTokenDataset
from src.tokenization import train_tokenizer
from src.training import TrainingSettings, train

WORDS = "so the cat and my dog want tea again today but never coffee on a rainy day at home"


def main(folder: Path, seconds: float) -> None:
    torch.set_num_threads(1)
    rng = random.Random(0)
    texts = [" ".join(rng.choices(WORDS.split(), k=rng.randint(2, 12))) for _ in range(400)]
    tokenizer = train_tokenizer(texts, 100)
    datasets = [NextTokenDataset(part, tokenizer, tokenizer.eos_token_id) for part in (texts[:320], texts[320:])]
    torch.manual_seed(0)
    model = LSTMLM(LSTMConfig(vocab_size=len(tokenizer), embedding_dim=16, hidden_dim=24, dropout=0.2))
    settings = TrainingSettings(batch_size=16, max_epochs=10, num_evaluations=20, patience=20)
    if seconds:
        Timer(seconds, os.kill, (os.getpid(), signal.SIGKILL)).start()
    result = train(model, *datasets, settings, folder / "checkpoints", 0)
    torch.save({"weights": model.state_dict(), "resumed_at": result.resumed_at}, folder / "weights.pt")
    # Not to be killed by a timer that is still running.
    os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
