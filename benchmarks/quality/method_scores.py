"""The scores of one training run on the test pairs of the final comparison, for claims about methods.

`python -m benchmarks.quality.method_scores RUN_DIR NAME MINUTES SEED` writes the scores of each test pair to
`benchmarks/results/methods/`; no text is kept. `benchmarks/quality/methods.py` compares the methods. RUN_DIR is a run
folder of `benchmarks/quality/budgets.py`, or of a notebook that trained for the same budget. All models answer with
greedy decoding.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from benchmarks.common import RESULTS_DIR, prepared_corpus
from benchmarks.quality.contestants import CONTESTANTS
from src.completion.completer import Completer
from src.data_utils import PreparedTweets
from src.evaluation.endpoints import answer_endpoints
from src.evaluation.evaluate import evaluate, evaluation_texts
from src.evaluation.intervals import Ratio
from src.evaluation.leakage import near_duplicates
from src.evaluation.systems import ModelSystem
from src.evaluation.typing import record_suggestions, type_texts, typing_ratios
from src.evaluation.verdicts import PRIMARY
from src.lstm_model import load_lstm_lm
from src.models.pretrained import load_pretrained

SCORES_DIR = RESULTS_DIR / "methods"
# The rule of docs/PROTOCOL.md: earlier comparisons drew their pairs from the first tweets of the random order.
NUM_SKIPPED = 10_000
NUM_PAIRS = 10_000
SEED = 0
# How a score follows from the mean over pairs; the others are the mean itself.
TRANSFORMS = {"perplexity_per_word": np.exp}


def final_test_texts(tweets: PreparedTweets) -> list[str]:
    """The test tweets of the final comparison, in the order of docs/PROTOCOL.md."""
    texts = tweets.texts("test")
    is_near = near_duplicates(texts, tweets.texts("train"))
    others = [text for text, near in zip(texts, is_near) if not near]
    return evaluation_texts(others, NUM_PAIRS, SEED, num_skipped=NUM_SKIPPED)


def load_system(name: str, run_dir: str | Path) -> ModelSystem:
    """Load the model of a run on the CPU.

    Args:
        name: one of `CONTESTANTS`.
    """
    if name == "lstm":
        tokenizer, model, _, _ = load_lstm_lm(run_dir, device="cpu")
        return ModelSystem(name, model, tokenizer)
    lm = load_pretrained(run_dir, device="cpu")
    return ModelSystem(name, lm.model, lm.tokenizer)


def endpoint_ratios(system: ModelSystem, texts: list[str], num_typed: int) -> dict[str, Ratio]:
    """All endpoints of a model: of its greedy answers to all texts, and of typing the first of them."""
    typed = record_suggestions(Completer(system.model, system.tokenizer), texts[:num_typed])
    ratios = {PRIMARY: typing_ratios(type_texts(typed, "word", 3))[PRIMARY]}
    return ratios | answer_endpoints(evaluate(system, texts))


def scores_path(name: str, minutes: float, seed: int) -> Path:
    """The file with the scores of a run."""
    return SCORES_DIR / f"{name}-{minutes:g}-minutes-seed-{seed}.npz"


def save_ratios(path: Path, ratios: dict[str, Ratio]) -> None:
    """Write the numerators and denominators of scores, float64 [pairs], by metric id."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {
        f"{metric}.{name}": getattr(one, name)
        for metric, one in ratios.items()
        for name in ("numerator", "denominator")
    }
    np.savez_compressed(path, **columns)


def load_ratios(path: Path) -> dict[str, Ratio]:
    """Read what `save_ratios` wrote."""
    with np.load(path) as columns:
        metrics = [name.removesuffix(".numerator") for name in columns if name.endswith(".numerator")]
        return {
            metric: Ratio(
                columns[f"{metric}.numerator"], columns[f"{metric}.denominator"], TRANSFORMS.get(metric, np.asarray)
            )
            for metric in metrics
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("name", choices=CONTESTANTS)
    parser.add_argument("minutes", type=float, help="its budget of training, in minutes of one core")
    parser.add_argument("seed", type=int, help="of its training")
    args = parser.parse_args()
    torch.set_num_threads(1)
    texts = final_test_texts(prepared_corpus()[0])
    ratios = endpoint_ratios(load_system(args.name, args.run_dir), texts, CONTESTANTS[args.name].num_typed)
    save_ratios(scores_path(args.name, args.minutes, args.seed), ratios)


if __name__ == "__main__":
    main()
