"""Every figure of the notebooks; each function returns the matplotlib figure."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from src.evaluation.evaluate import Evaluation
from src.evaluation.intervals import Estimate


def plot_tweet_lengths(texts: Sequence[str]) -> Figure:
    """Histogram of the number of words."""
    lengths = pd.Series(list(texts), dtype=object).str.count(" ") + 1
    figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
    # The few longest would stretch the axis; each bar is one length.
    counts = lengths[lengths <= lengths.quantile(0.999)].value_counts()
    axes.bar(counts.index, counts, width=1.0, color="tab:blue")
    axes.axvline(lengths.median(), color="black", linestyle="--", label=f"median {lengths.median():.0f}")
    axes.set(xlabel="words after cleaning", ylabel="tweets", title="Length of tweets")
    axes.legend()
    return _finished(figure)


def plot_shares(shares: pd.Series) -> Figure:
    """Horizontal bars of shares in [0, 1]."""
    figure, axes = plt.subplots(figsize=(6, 2.2), layout="constrained")
    bars = axes.barh(shares.index, shares * 100, color="tab:blue")
    axes.bar_label(bars, fmt="%.1f%%", padding=3)
    axes.set(xlabel="% of raw tweets", title="What cleaning meets", xlim=(0, max(1.0, shares.max() * 115)))
    axes.invert_yaxis()
    return _finished(figure)


def plot_training(history: Sequence[dict], name: str) -> Figure:
    """Training and validation loss against tweets seen."""
    table = pd.DataFrame(history)
    figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
    axes.plot(table["tweets_seen"], table["train_loss"], marker="o", label="training, since the last point")
    axes.plot(table["tweets_seen"], table["val_loss"], marker="o", label="validation")
    axes.set(xlabel="tweets seen", ylabel="nats per target token", title=f"Training of {name}")
    axes.legend()
    return _finished(figure)


def plot_scores(summaries: dict[str, dict[str, Estimate]], metrics: Sequence[str]) -> Figure:
    """One panel per metric: every system's score with its 95% interval."""
    figure, all_axes = plt.subplots(1, len(metrics), figsize=(3 * len(metrics), 3), layout="constrained", squeeze=False)
    for axes, metric in zip(all_axes[0], metrics):
        estimates = {name: summary[metric] for name, summary in summaries.items() if metric in summary}
        values = [estimate.value for estimate in estimates.values()]
        errors = [
            [estimate.value - estimate.low for estimate in estimates.values()],
            [estimate.high - estimate.value for estimate in estimates.values()],
        ]
        axes.bar(range(len(values)), values, yerr=errors, capsize=4, color="tab:blue", alpha=0.8)
        axes.set_xticks(range(len(values)), list(estimates), rotation=30, ha="right")
        axes.set_title(metric.replace("_", " "))
    return _finished(figure)


def plot_coverage(evaluations: Sequence[Evaluation]) -> Figure:
    """Exact match against the share of pairs whose answer is shown, the most confident ones first."""
    figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
    for evaluation in evaluations:
        most_confident_first = np.argsort(-evaluation.confidence, kind="stable")
        matches = evaluation.scores["exact_match"].to_numpy()[most_confident_first]
        num_shown = np.arange(1, len(matches) + 1)
        # The first few answers are too few for a share.
        drawn = num_shown >= max(1, len(matches) // 100)
        axes.plot(num_shown[drawn] / len(matches), (matches.cumsum() / num_shown)[drawn], label=evaluation.name)
    axes.set(xlabel="coverage: share of pairs with an answer", ylabel="exact match", title="Trust by confidence")
    axes.legend()
    return _finished(figure)


def plot_curves(table: pd.DataFrame, x: str, metrics: Sequence[str]) -> Figure:
    """One panel per metric: its `Estimate`s against a column on a logarithmic axis, one line per system.

    Args:
        table: columns `system`, `x` and the metrics.
    """
    figure, all_axes = plt.subplots(
        1, len(metrics), figsize=(4 * len(metrics), 3.2), layout="constrained", squeeze=False
    )
    for axes, metric in zip(all_axes[0], metrics):
        for name, rows in table.groupby("system", sort=False):
            values = np.array([estimate.value for estimate in rows[metric]])
            bounds = np.array([(estimate.low, estimate.high) for estimate in rows[metric]])
            errors = np.abs(bounds.T - values)
            axes.errorbar(rows[x], values, yerr=errors, marker="o", capsize=3, label=name)
        axes.set(xlabel=x.replace("_", " "), title=metric.replace("_", " "))
        # Logarithmic, but with room for none.
        axes.set_xscale("symlog", linthresh=table.loc[table[x] > 0, x].min())
        values = [estimate.value for estimate in table[metric]]
        if max(values) > 10 * min(values):
            axes.set_yscale("log")
    all_axes[0, 0].legend()
    return _finished(figure)


def _finished(figure: Figure) -> Figure:
    # Closed, so that a notebook shows it once: as the value of its cell.
    plt.close(figure)
    return figure
