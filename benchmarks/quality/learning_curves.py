"""Quality against minutes of training at equal budgets, and where the curves of two methods cross.

`python -m benchmarks.quality.learning_curves` takes the curves of all runs of `benchmarks/quality/budgets.py` from
`benchmarks/results/`, and those of the final comparison from their run folders. It writes
`benchmarks/results/learning_curves.json` and its figure.

A minute is one of the budget: as many tweets as one core reads in a minute, by `benchmarks/quality/paces.py`. The runs
of budgets were measured on 1,000 validation tweets, those of the final comparison on those of their notebooks.
"""

import argparse
import json
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.common import RESULTS_DIR, prepared_corpus, write_results
from benchmarks.quality.method_scores import load_system
from benchmarks.quality.paces import known_pace
from src.data_utils import PreparedTweets
from src.evaluation.learning_curve import minutes_curve
from src.evaluation.selection import validation_texts
from src.models.pretrained import PRETRAINED_NAMES
from src.report.comparison_figures import plot_minutes
from src.report.drawing import system_colour
from src.runs import find_run

# The budget of the final comparison, and the validation tweets of its loss curves (`val_loss_tweets` in the notebook).
FINAL_MINUTES = 90
FINAL_LOSS_TEXTS = {"lstm": None, "finetuned": 300}
TITLES = {"lstm": "LSTM", "small_transformer": "transformer, small", "finetuned": "fine-tuned transformer"}


def budget_curves(results_dir: Path = RESULTS_DIR) -> list[dict]:
    """One row per run of a budget: `name`, `budget_minutes`, `seed`, and `curve`, one row per evaluation."""
    rows = []
    for path in sorted(results_dir.glob("budgets_*_minutes.json")):
        [row] = json.loads(path.read_text(encoding="utf-8"))["rows"]
        points = [(point["tweets_seen"], point["bits_per_character"]) for point in row["curve"]]
        rows.append(curve_row(row["name"], row["budget_minutes"], row["seed"], row["tweets_per_second"], points))
    return rows


def curve_row(name: str, budget: float, seed: int, pace: float, points: Sequence[tuple[int, float]]) -> dict:
    """A row of results.

    Args:
        pace: tweets that training reads in a process second.
        points: tweets seen and bits per character at each evaluation.
    """
    curve = [{"minutes": seen / pace / 60, "tweets_seen": seen, "bits_per_character": bits} for seen, bits in points]
    return {"name": name, "budget_minutes": budget, "seed": seed, "curve": curve}


def final_curve(name: str, run_dir: Path, tweets: PreparedTweets) -> dict:
    """The row of a run of the final comparison."""
    texts = validation_texts(tweets, seed=0)[: FINAL_LOSS_TEXTS[name]]
    bits = minutes_curve(run_dir, texts, load_system(name, run_dir).tokenizer)["value"]
    history = json.loads((run_dir / "history.json").read_text(encoding="utf-8"))
    points = [(row["tweets_seen"], value) for row, value in zip(history, bits)]
    return curve_row(name, FINAL_MINUTES, 0, known_pace(name), points)


def mean_curves(rows: Sequence[dict]) -> dict[tuple[str, float], pd.DataFrame]:
    """The mean over seeds, by method and budget: columns `minutes` and `value`, bits per character."""
    groups: dict[tuple[str, float], list[pd.DataFrame]] = {}
    for row in rows:
        curve = pd.DataFrame(row["curve"]).rename(columns={"bits_per_character": "value"})[["minutes", "value"]]
        groups.setdefault((row["name"], row["budget_minutes"]), []).append(curve)
    return {key: sum(curves[1:], curves[0]) / len(curves) for key, curves in groups.items()}


def crossings(a: pd.DataFrame, b: pd.DataFrame) -> list[float]:
    """The minutes at which two curves cross, with straight lines between points, where both are known."""
    minutes = np.union1d(a["minutes"], b["minutes"])
    low, high = (pick(a["minutes"].agg(end), b["minutes"].agg(end)) for pick, end in ((max, "min"), (min, "max")))
    minutes = minutes[(minutes >= low) & (minutes <= high)]
    values = [np.interp(minutes, curve["minutes"], curve["value"]) for curve in (a, b)]
    gaps = values[0] - values[1]
    changes = np.flatnonzero(np.sign(gaps[:-1]) * np.sign(gaps[1:]) < 0)
    shares = gaps[changes] / (gaps[changes] - gaps[changes + 1])
    return (minutes[changes] + shares * np.diff(minutes)[changes]).tolist()


def draw(rows: Sequence[dict]) -> None:
    """Draw the curves of the budget of the final comparison, and dotted those of shorter runs from their middle on."""
    means = mean_curves(rows)
    curves = {title: means[name, FINAL_MINUTES] for name, title in TITLES.items() if (name, FINAL_MINUTES) in means}
    figure = plot_minutes(curves, "bits per character of validation tweets")
    for (name, budget), curve in means.items():
        if budget < FINAL_MINUTES:
            late = curve[curve["minutes"] >= budget / 2]
            figure.axes[0].plot(late["minutes"], late["value"], ":", marker=".", color=system_colour(TITLES[name]))
    figure.savefig(RESULTS_DIR / "learning_curves.png", dpi=100)


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    tweets, data = prepared_corpus()
    final_runs = {"lstm": find_run("lstm_lm", data=data), "finetuned": find_run(*PRETRAINED_NAMES, data=data)}
    rows = budget_curves() + [final_curve(name, run_dir, tweets) for name, run_dir in final_runs.items()]
    means = mean_curves(rows)
    crossed = [
        {"a": a[0], "b": b[0], "budget_minutes": a[1], "crossings": crossings(means[a], means[b])}
        for a, b in combinations(means, 2)
        if a[1] == b[1]
    ]
    command = "python -m benchmarks.quality.learning_curves"
    settings = {"final_minutes": FINAL_MINUTES, "final_loss_texts": FINAL_LOSS_TEXTS}
    write_results("learning_curves", data, settings, rows, command, crossings=crossed)
    draw(rows)


if __name__ == "__main__":
    main()
