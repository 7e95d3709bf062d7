"""The methods of the final comparison on its test pairs, over several runs of each.

`benchmarks/quality/budgets.py` trains a model for a budget, and `benchmarks/quality/method_scores.py` keeps its scores
of each test pair. `python -m benchmarks.quality.methods MINUTES` compares the methods that have runs of so many
minutes, in all endpoints, over all runs of each, and writes `benchmarks/results/methods.json`.
`python -m src.report.verdicts benchmarks/results/methods.json` says the verdicts.
"""

import argparse
from collections import defaultdict
from itertools import combinations

from benchmarks.common import RESULTS_DIR
from benchmarks.quality.method_scores import NUM_PAIRS, NUM_SKIPPED, SCORES_DIR, SEED, load_ratios
from src.evaluation.intervals import Ratio
from src.evaluation.verdicts import ENDPOINTS, PRIMARY, paired_tests
from src.files import write_json
from src.runs import git_commit, library_versions

VERDICTS = RESULTS_DIR / "methods.json"


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
            parser.error(
                f"fewer than two methods have runs of {minutes:g} minutes: use budgets.py and method_scores.py"
            )
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
