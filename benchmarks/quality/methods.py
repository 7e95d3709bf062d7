"""The methods of the final comparison on its test pairs: the scores of every run, and the verdicts about methods.

`benchmarks/quality/budgets.py` trains a model for a budget and keeps its scores of each test pair in
`benchmarks/results/methods/`; no text is kept. `python -m benchmarks.quality.methods MINUTES` compares the
methods that have runs of so many minutes, in all endpoints, over all runs of each, and writes
`benchmarks/results/methods.json`. `python -m src.report.verdicts benchmarks/results/methods.json` says the verdicts.
"""

import argparse
from collections import defaultdict
from itertools import combinations
from pathlib import Path

import numpy as np

from benchmarks.common import RESULTS_DIR
from src.completion.completer import Completer
from src.data_utils import PreparedTweets
from src.evaluation.endpoints import answer_endpoints
from src.evaluation.evaluate import evaluate, evaluation_texts
from src.evaluation.intervals import Ratio
from src.evaluation.leakage import near_duplicates
from src.evaluation.systems import ModelSystem
from src.evaluation.typing import record_suggestions, type_texts, typing_ratios
from src.evaluation.verdicts import ENDPOINTS, PRIMARY, paired_tests
from src.files import write_json
from src.runs import git_commit, library_versions

SCORES_DIR = RESULTS_DIR / "methods"
VERDICTS = RESULTS_DIR / "methods.json"
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


def method_tests(runs: dict[str, list[dict[str, Ratio]]]) -> list[dict]:
    """Compare every two methods in every endpoint, over their runs.

    Slow models type fewer texts: the keys saved by two methods are compared on the texts that all their runs typed.
    """
    tests = []
    for pair in combinations(runs, 2):
        num_typed = min(len(run[PRIMARY].denominator) for name in pair for run in runs[name])
        tests += paired_tests(
            {name: [run | {PRIMARY: run[PRIMARY].first(num_typed)} for run in runs[name]] for name in pair}, SEED
        )
    return tests


def runs_of(minutes: float) -> dict[str, list[dict[str, Ratio]]]:
    """The scores of all runs of so many minutes, by method and minutes."""
    found = defaultdict(list)
    for path in sorted(SCORES_DIR.glob(f"*-{minutes:g}-minutes-seed-*.npz")):
        found[f"{path.name.split('-')[0]}, {minutes:g} minutes"].append(load_ratios(path))
    return dict(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("minutes", type=float, nargs="+", help="budgets that are compared, each for itself")
    tests, values = [], {}
    budgets = parser.parse_args().minutes
    for minutes in budgets:
        runs = runs_of(minutes)
        if len(runs) < 2:
            parser.error(f"fewer than two methods have runs of {minutes:g} minutes: train them with budgets.py")
        tests += method_tests(runs)
        values |= {
            name: {metric: [run[metric].value for run in each] for metric in ENDPOINTS} for name, each in runs.items()
        }
    record = {
        "command": f"python -m benchmarks.quality.methods {' '.join(f'{minutes:g}' for minutes in budgets)}",
        "pairs": NUM_PAIRS,
        "skipped": NUM_SKIPPED,
        "seed": SEED,
        "versions": library_versions(),
        "git_commit": git_commit(),
        "scores_of_runs": values,
        "tests": tests,
    }
    write_json(VERDICTS, record)


if __name__ == "__main__":
    main()
