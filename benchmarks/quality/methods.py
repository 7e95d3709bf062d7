"""The methods of the final comparison on its test pairs, over several runs of each.

`benchmarks/quality/budgets.py` trains a model for a budget, and `benchmarks/quality/method_scores.py` keeps its scores
of each test pair. `python -m benchmarks.quality.methods MINUTES` compares the methods that have runs of so many
minutes, in all endpoints, over all runs of each, and writes `benchmarks/results/methods.json`.
`python -m src.report.verdicts benchmarks/results/methods.json` says the verdicts.
"""

import argparse
from collections import defaultdict

from benchmarks.common import RESULTS_DIR
from benchmarks.quality.method_scores import NUM_PAIRS, NUM_SKIPPED, SCORES_DIR, SEED, load_ratios
from src.evaluation.intervals import Ratio
from src.evaluation.verdicts import PRIMARY, paired_tests
from src.files import write_json
from src.runs import git_commit, library_versions

VERDICTS = RESULTS_DIR / "methods.json"


def runs_of(minutes: float) -> dict[str, list[dict[str, Ratio]]]:
    """The scores of all runs of so many minutes, by method and minutes.

    Slow models type fewer texts. The keys saved by all runs are those of the texts that every one of them typed.
    """
    found = defaultdict(list)
    for path in sorted(SCORES_DIR.glob(f"*-{minutes:g}-minutes-seed-*.npz")):
        found[f"{path.name.split('-')[0]}, {minutes:g} minutes"].append(load_ratios(path))
    num_typed = min((len(run[PRIMARY].denominator) for runs in found.values() for run in runs), default=0)
    return {name: [run | {PRIMARY: run[PRIMARY].first(num_typed)} for run in runs] for name, runs in found.items()}


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
        tests += paired_tests(runs, SEED)
        values |= {
            name: {metric: [run[metric].value for run in each] for metric in each[0]} for name, each in runs.items()
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
