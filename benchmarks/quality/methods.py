"""The methods of the final comparison on its test pairs, over several runs of each.

`benchmarks/quality/budgets.py` trains a model for a budget, and `benchmarks/quality/method_scores.py` keeps its scores
of each test pair. `python -m benchmarks.quality.methods MINUTES` compares the methods that have runs of so many
minutes, in all endpoints, over all runs of each, and writes `benchmarks/results/methods.json`. If each has one run, a
verdict is about these two runs and says nothing about other seeds; the record then names them “one run”.
`python -m src.report.verdicts benchmarks/results/methods.json` says the verdicts.
"""

import argparse
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

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

    Raises:
        ValueError: runs of one method typed different numbers of texts, one method has several runs and another has
            one, or the runs were scored on different texts.
    """
    found = defaultdict(list)
    for path in sorted(SCORES_DIR.glob(f"*-{minutes:g}-minutes-seed-*.npz")):
        found[path.name.split("-")[0]].append(load_ratios(path))
    for name, runs in found.items():
        if len(num_typed := {len(run[PRIMARY].denominator) for run in runs}) > 1:
            raise ValueError(f"runs of {name} typed {sorted(num_typed)} texts: score them again with method_scores.py")
    if len({len(runs) == 1 for runs in found.values()}) > 1:
        numbers = ", ".join(f"{name} {len(runs)}" for name, runs in found.items())
        raise ValueError(f"a single run can't be compared with several ({numbers}): train as many of each")
    num_typed = min((len(run[PRIMARY].denominator) for runs in found.values() for run in runs), default=0)
    suffix = ", one run" if all(len(runs) == 1 for runs in found.values()) else ""
    runs_by_name = {
        f"{name}, {minutes:g} minutes{suffix}": [run | {PRIMARY: run[PRIMARY].first(num_typed)} for run in runs]
        for name, runs in found.items()
    }
    check_same_texts([run for runs in runs_by_name.values() for run in runs])
    return runs_by_name


def check_same_texts(runs: Sequence[Mapping[str, Ratio]]) -> None:
    """Check that runs typed and completed the same texts: those have the same numbers of keys and of words.

    Raises:
        ValueError: they did not.
    """
    for metric in (PRIMARY, "perplexity_per_word"):
        if any(not np.array_equal(run[metric].denominator, runs[0][metric].denominator) for run in runs):
            raise ValueError(f"{metric} was scored on different texts: score all runs again with method_scores.py")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("minutes", type=float, nargs="+", help="budgets that are compared, each for itself")
    tests, values, typed = [], {}, {}
    budgets = parser.parse_args().minutes
    for minutes in budgets:
        try:
            runs = runs_of(minutes)
        except ValueError as error:
            parser.error(str(error))
        if len(runs) < 2:
            parser.error(
                f"fewer than two methods have runs of {minutes:g} minutes: use budgets.py and method_scores.py"
            )
        tests += paired_tests(runs, SEED)
        typed[f"{minutes:g}"] = len(next(iter(runs.values()))[0][PRIMARY].denominator)
        values |= {
            name: {metric: [run[metric].value for run in each] for metric in each[0]} for name, each in runs.items()
        }
    record = {
        "command": f"python -m benchmarks.quality.methods {' '.join(f'{minutes:g}' for minutes in budgets)}",
        "pairs": NUM_PAIRS,
        "typed_by_minutes": typed,
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
