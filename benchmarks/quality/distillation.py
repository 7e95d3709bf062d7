"""Does the LSTM learn more when endings sampled from the fine-tuned transformer are added to the tweets?

Sequence-level distillation (Kim and Rush, 2016). `python -m benchmarks.quality.distillation` samples endings for
training contexts from the newest fine-tuned transformer, trains the LSTM for the same number of steps without and with
them, and writes `benchmarks/results/distillation.json`.
"""

import argparse
import time
from dataclasses import asdict, replace

from benchmarks.common import SHORT_RUN, prepared_corpus, scores_of, temporary_checkpoints, write_results
from src.completion.completer import best_answers
from src.completion.decoding import Decoding
from src.data_utils import split_x_target_by_words
from src.evaluation.intervals import as_record
from src.evaluation.selection import validation_texts
from src.evaluation.systems import ModelSystem
from src.lstm_model import LSTMConfig
from src.models.pretrained import PRETRAINED_NAMES, load_pretrained
from src.recipe import train_lstm
from src.runs import find_run

NUM_TWEETS = 20_000
NUM_SAMPLED = 10_000
NUM_PAIRS = 2_000
SAMPLING = Decoding("nucleus", num_samples=1, temperature=1.0, top_p=1.0)
# As many steps with more texts: no limit on the number of passes.
SETTINGS = replace(SHORT_RUN, max_epochs=100)


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    tweets, data = prepared_corpus()
    val_texts = validation_texts(tweets, seed=0)
    true_texts = tweets.texts("train", NUM_TWEETS)
    run_dir = find_run(*PRETRAINED_NAMES, data=data)
    lm = load_pretrained(run_dir)
    contexts = [split_x_target_by_words(text)[0] for text in true_texts[:NUM_SAMPLED]]
    started = time.perf_counter()
    endings = best_answers(lm.model, lm.tokenizer, contexts, SAMPLING)
    sampling_seconds = time.perf_counter() - started
    sampled_texts = [f"{context} {ending}" for context, ending in zip(contexts, endings)]
    rows = []
    for name, train_texts in {"true": true_texts, "true and sampled": [*true_texts, *sampled_texts]}.items():
        with temporary_checkpoints() as folder:
            tokenizer, lstm, result = train_lstm(train_texts, val_texts, LSTMConfig(), SETTINGS, folder)
        scores = as_record(scores_of(ModelSystem(name, lstm, tokenizer), val_texts[:NUM_PAIRS]))
        rows.append({"texts": name, "num_texts": len(train_texts), "seconds": round(result.duration, 1), **scores})
    sampling = {"teacher": run_dir.name, "sampling_seconds": round(sampling_seconds, 1), "pairs": NUM_PAIRS}
    settings = {**sampling, **asdict(result.settings)}
    write_results("distillation", data, settings, rows, command="python -m benchmarks.quality.distillation")


if __name__ == "__main__":
    main()
