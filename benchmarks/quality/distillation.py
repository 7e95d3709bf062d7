"""Does the LSTM learn more from true tweets alone, or with endings that the fine-tuned transformer has sampled?

Sequence-level distillation (Kim and Rush, 2016). `python -m benchmarks.quality.distillation` samples an ending for
training contexts from the newest fine-tuned transformer, trains the LSTM for equally many steps without and with them,
and writes `benchmarks/results/distillation.json`.
"""

import time
from dataclasses import asdict, replace

from benchmarks.common import prepared_corpus, train_lstm, write_results
from benchmarks.quality.curves import LSTM_SIZES, METRICS, lstm_settings
from src.completion.completer import best_answers
from src.completion.decoding import Decoding
from src.data_utils import split_x_target_by_words
from src.evaluation.evaluate import evaluate, evaluation_texts
from src.evaluation.systems import ModelSystem
from src.models.pretrained import PRETRAINED_NAMES, load_pretrained
from src.runs import find_run

NUM_TWEETS = 20_000
NUM_SAMPLED = 10_000
NUM_PAIRS = 2_000
SAMPLING = Decoding("nucleus", num_samples=1, temperature=1.0, top_p=1.0)


def main() -> None:
    tweets, data = prepared_corpus()
    val_texts = evaluation_texts(tweets.texts("val"), max_texts=5_000, seed=0)
    true_texts = tweets.texts("train", NUM_TWEETS)
    run_dir = find_run(*PRETRAINED_NAMES, data=data)
    lm = load_pretrained(run_dir)
    contexts = [split_x_target_by_words(text)[0] for text in true_texts[:NUM_SAMPLED]]
    started = time.perf_counter()
    endings = best_answers(lm.model, lm.tokenizer, contexts, SAMPLING)
    sampling_seconds = time.perf_counter() - started
    sampled_texts = [f"{context} {ending}" for context, ending in zip(contexts, endings)]
    settings = replace(lstm_settings(), max_epochs=100)
    rows = []
    for name, train_texts in {"true": true_texts, "true and sampled": [*true_texts, *sampled_texts]}.items():
        tokenizer, lstm, result = train_lstm(train_texts, val_texts, LSTM_SIZES, settings)
        summary = evaluate(ModelSystem(name, lstm, tokenizer), val_texts[:NUM_PAIRS]).summary(seed=0)
        scores = {metric: asdict(summary[metric]) for metric in METRICS}
        rows.append({"texts": name, "num_texts": len(train_texts), "seconds": round(result.duration, 1), **scores})
    sizes = {"teacher": run_dir.name, "sampling_seconds": round(sampling_seconds, 1), "pairs": NUM_PAIRS, "seed": 0}
    write_results(
        "distillation", data, {**sizes, **asdict(settings)}, rows, command="python -m benchmarks.quality.distillation"
    )


if __name__ == "__main__":
    main()
