"""A small training in processes of its own that kills itself: `python -m tests.killed_training FOLDER SECONDS DROPOUT`.

After so many seconds of training it is killed as by `kill -9`, wherever it is (of several processes the last one);
0 lets it end. At its end it writes `result.pt` to the folder.
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
    datasets = [NextTokenDataset(part, tokenizer, tokenizer.eos_token_id) for part in (texts[:320], texts[320:])]
    torch.manual_seed(0)
    model = LSTMLM(LSTMConfig(vocab_size=len(tokenizer), embedding_dim=16, hidden_dim=24, dropout=dropout))
    settings = TrainingSettings(batch_size=16, max_epochs=10, eval_steps=0.05, patience=20)
    processes = PartialState(cpu=True)
    if seconds and processes.is_last_process:
        Timer(seconds, os.kill, (os.getpid(), signal.SIGKILL)).start()
    result = train(model, *datasets, settings, folder / "checkpoints", 0)
    name = "result.pt" if processes.is_main_process else f"result-{processes.process_index}.pt"
    torch.save({"weights": model.state_dict(), "history": result.history}, folder / name)
    # Not to be killed by a timer that is still running.
    os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(float, sys.argv[2:]))
