"""The figures of the notebooks and benchmarks. Each function returns a closed matplotlib figure."""

from collections.abc import Sequence
from operator import itemgetter

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

from src.evaluation.evaluate import Evaluation
from src.evaluation.intervals import Summary
from src.evaluation.metrics import METRICS, Metric

WIDTH = 6  # inches
# Okabe and Ito's palette, which colour-blind people can tell apart.
BLUE, SKY_BLUE, GREEN = "#0072B2", "#56B4E9", "#009E73"
ORANGE, VERMILION, PURPLE, BLACK = "#E69F00", "#D55E00", "#CC79A7", "#000000"
GREY, LIGHT_GREEN = "#767676", "#66C2A5"
SYSTEM_COLOURS = {
    "LSTM": BLUE,
    "LSTM with n-grams": GREEN,
    "Kneser-Ney n-gram": ORANGE,
    "constant answer": BLACK,
    "word list": GREY,
    "presage": PURPLE,
}
LABEL_HEIGHT = 12  # points between labels of lines that end close together


def plot_tweet_lengths(texts: Sequence[str]) -> Figure:
    """Histogram of the number of words per tweet."""
    lengths = pd.Series(list(texts), dtype=object).str.count(" ") + 1
    figure, axes = plt.subplots(figsize=(WIDTH, 2.5), layout="constrained")
    # A few very long tweets would stretch the axis. Each bar is one length.
    counts = lengths[lengths <= lengths.quantile(0.999)].value_counts()
    axes.bar(counts.index, counts, width=0.9, color=BLUE)
    median = lengths.median()
    axes.axvline(median, color=BLACK, linestyle="--")
    axes.annotate(
        f"median {median:.0f}",
        (median, 1),
        xycoords=("data", "axes fraction"),
        xytext=(4, 3),
        textcoords="offset points",
    )
    axes.set(xlabel="words after cleaning", ylabel="tweets")
    axes.set_title("Length of tweets", loc="left")
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    return _finished(figure)


def plot_shares(shares: pd.Series) -> Figure:
    """Horizontal bars of the shares of raw tweets, in [0, 1], that contain what cleaning replaces or removes."""
    figure, axes = plt.subplots(figsize=(WIDTH, 2.0), layout="constrained")
    bars = axes.barh(shares.index, shares * 100, color=BLUE)
    axes.bar_label(bars, fmt="%.1f%%", padding=3)
    axes.set(xlabel="% of raw tweets", title="What raw tweets contain", xlim=(0, max(1.0, shares.max() * 115)))
    axes.invert_yaxis()
    return _finished(figure)


def plot_training(history: Sequence[dict], name: str) -> Figure:
    """Training and validation loss against the number of tweets seen.

    A point of the training loss is the mean over all steps since the point before.
    """
    table = pd.DataFrame(history)
    figure, axes = plt.subplots(figsize=(WIDTH, 3), layout="constrained")
    axes.plot(table["tweets_seen"], table["train_loss"], marker="o", color=SKY_BLUE, label="training")
    axes.plot(table["tweets_seen"], table["val_loss"], marker="o", color=BLUE, label="validation")
    axes.set(xlabel="tweets seen", ylabel="loss in nats per target token", title=f"Training of {name}")
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=(1, 2, 5, 10)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    _label_line_ends(axes)
    return _finished(figure)


def plot_scores(summaries: dict[str, Summary], metric_ids: Sequence[str]) -> Figure:
    """One panel per metric: every system's score as a dot with its 95% interval.

    All panels list the systems in the same order, the best in the first metric on top.
    """
    systems = _best_first(summaries, METRICS[metric_ids[0]])
    num_columns = min(2, len(metric_ids))
    num_rows = -(-len(metric_ids) // num_columns)
    size = WIDTH, num_rows * (0.9 + 0.25 * len(systems))
    figure, all_axes = plt.subplots(
        num_rows, num_columns, figsize=size, layout="constrained", squeeze=False, sharey=True
    )
    for axes, metric_id in zip(all_axes.flat, metric_ids):
        for row, system in enumerate(systems):
            if metric_id in summaries[system]:
                estimate, colour = summaries[system][metric_id], system_colour(system)
                axes.plot(estimate.value, row, "o", color=colour)
                axes.hlines(row, estimate.low, estimate.high, color=colour, linewidth=2)
        axes.set_yticks(range(len(systems)), systems)
        axes.set_ylim(len(systems) - 0.5, -0.5)
        axes.xaxis.set_major_locator(MaxNLocator(4, steps=(1, 2, 5, 10)))
        axes.grid(axis="x", alpha=0.3)
        axes.set_title(title_with_direction(METRICS[metric_id]), fontsize="medium")
    for axes in all_axes.flat[len(metric_ids) :]:
        axes.remove()
    return _finished(figure)


def plot_coverage(evaluations: Sequence[Evaluation]) -> Figure:
    """Exact match against the share of pairs whose answer is shown, the most confident answers first."""
    figure, axes = plt.subplots(figsize=(WIDTH, 3.5), layout="constrained")
    for evaluation in evaluations:
        matches = evaluation.scores["exact_match"].to_numpy()[evaluation.most_confident_first()]
        num_shown = np.arange(1, len(matches) + 1)
        # The share among the first few answers is too noisy to draw.
        drawn = num_shown >= max(1, len(matches) // 100)
        axes.plot(
            num_shown[drawn] / len(matches),
            (matches.cumsum() / num_shown)[drawn],
            label=evaluation.name,
            color=system_colour(evaluation.name),
        )
    axes.set(
        xlabel="coverage: share of pairs whose answer is shown",
        ylabel=title_with_direction(METRICS["exact_match"]),
    )
    axes.set_title("Exact match when only the most confident answers are shown", fontsize="medium")
    _label_line_ends(axes)
    return _finished(figure)


def plot_typing(record: dict, systems: Sequence[str], n: int) -> Figure:
    """Keys saved against the suggestions that a person sees for it, one curve per system.

    At the right end of a curve, a system shows n suggestions before every letter, and a key takes one word. To the
    left, it shows only those of which it is more and more sure.

    Args:
        record: the record of `src.evaluation.typing.typing_record`.
        systems: the systems to draw.
        n: the number of suggestions, 1 or 3.
    """
    figure, axes = plt.subplots(figsize=(WIDTH, 4), layout="constrained")
    most_tweets = max(system["tweets"] for system in record["systems"].values())
    for name in systems:
        system = record["systems"][name]
        curve = pd.DataFrame(system["curves"][str(n)]).iloc[::-1]
        label = name if system["tweets"] == most_tweets else f"{name} ({system['tweets']} tweets)"
        axes.plot(
            curve["suggestions_shown"],
            curve["keys_saved"] * 100,
            marker="o",
            markevery=[-1],
            color=system_colour(name),
            label=label,
        )
    axes.set(xlabel="suggestions shown while a tweet is typed (left: only the surest ones)", ylabel="% of keys saved ↑")
    # Room for the labels above the highest curve.
    axes.set(xlim=(0, None), ylim=(0, max(1.0, 1.2 * axes.dataLim.ymax)))
    axes.set_title(f"Keys saved by {'one suggestion' if n == 1 else f'{n} suggestions'} before each letter", loc="left")
    axes.grid(alpha=0.3)
    _label_line_ends(axes)
    return _finished(figure)


def plot_reliability(tables: dict[str, pd.DataFrame]) -> Figure:
    """Share of suggestions that are right against their probability, and how many suggestions have which probability.

    Args:
        tables: at most two tables of `src.evaluation.reliability.reliability_table`, by the name of their line.
    """
    figure, (axes, counts) = plt.subplots(
        2, 1, figsize=(WIDTH, 5.5), layout="constrained", sharex=True, height_ratios=(4, 1)
    )
    for (name, table), colour in zip(tables.items(), (SKY_BLUE, BLUE)):
        line = table["mean_probability"], table["share_right"]
        axes.plot(*line, marker="o", color=colour, label=name)
        counts.plot(table["mean_probability"], table["shown"], marker="o", color=colour, label=name)
    axes.plot((0, 1), (0, 1), color=GREY, linestyle="--", label="perfect")
    axes.set(xlim=(0, 1), ylim=(0, 1), ylabel="share of suggestions that are right")
    axes.set_title("Is a suggestion right as often as its probability says?", loc="left")
    axes.grid(alpha=0.3)
    counts.set(xlabel="probability of the suggestion", ylabel="suggestions", ylim=(0, None))
    counts.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    counts.spines[["top", "right"]].set_visible(False)
    _label_line_ends(axes)
    return _finished(figure)


def plot_curves(table: pd.DataFrame, x: str, metric_ids: Sequence[str]) -> Figure:
    """One panel per metric: its estimates against a column on a logarithmic axis, one line per system.

    Args:
        table: columns `system`, `x` (numbers) and one per metric id (`Estimate`s).
        x: the column for the horizontal axis, also its title.
        metric_ids: the metrics to draw.
    """
    size = WIDTH, 2.4 * len(metric_ids)
    figure, all_axes = plt.subplots(len(metric_ids), 1, figsize=size, layout="constrained", squeeze=False, sharex=True)
    for axes, metric_id in zip(all_axes[:, 0], metric_ids):
        for system, rows in table.groupby("system", sort=False):
            values = np.array([estimate.value for estimate in rows[metric_id]])
            bounds = np.array([(estimate.low, estimate.high) for estimate in rows[metric_id]])
            colour = system_colour(system)
            axes.plot(rows[x], values, marker="o", color=colour, label=system)
            axes.vlines(rows[x], *bounds.T, color=colour)
        axes.set_title(title_with_direction(METRICS[metric_id]), fontsize="medium")
        _use_log_axes(axes, table[x], [estimate.value for estimate in table[metric_id]])
        _label_line_ends(axes)
    all_axes[-1, 0].set_xlabel(x.replace("_", " "))
    return _finished(figure)


def title_with_direction(metric: Metric) -> str:
    """The title of a metric with an arrow: up if higher values are better, down if lower ones are."""
    return f"{metric.title} {'↓' if metric.lower_is_better else '↑'}"


def system_colour(name: str) -> str:
    """The colour of a system in every figure.

    Other forms of the LSTM ("LSTM, ...") share one colour, and those of the LSTM with n-grams another. Any other name
    is a transformer; its other forms ("..., int8") and its form before fine-tuning ("... before") share one colour.
    """
    if name in SYSTEM_COLOURS:
        return SYSTEM_COLOURS[name]
    if name.startswith("LSTM with n-grams, "):
        return LIGHT_GREEN
    if name.startswith("LSTM, "):
        return SKY_BLUE
    return PURPLE if ", " in name or name.endswith(" before") else VERMILION


def _best_first(summaries: dict[str, Summary], metric: Metric) -> list[str]:
    """The systems from best to worst in a metric, followed by those without it."""
    scored = [system for system, summary in summaries.items() if metric.id in summary]
    scored.sort(key=lambda system: summaries[system][metric.id].value, reverse=not metric.lower_is_better)
    return [*scored, *(system for system in summaries if system not in scored)]


def _use_log_axes(axes: Axes, xs: pd.Series, values: Sequence[float]) -> None:
    # "symlog" has a place for zero, the number of tweets before fine-tuning.
    axes.set_xscale("symlog", linthresh=xs[xs > 0].min())
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    if max(values) > 10 * min(values):
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())


def _label_line_ends(axes: Axes) -> None:
    """Write each line's label after its last point, and move labels apart where they would overlap."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.figure.draw_without_rendering()
    points_per_pixel = 72 / axes.figure.dpi
    ends = []
    for line in axes.lines:
        x, y = line.get_data(orig=False)
        if not np.isnan(y).all():
            end = x[~np.isnan(y)][-1], y[~np.isnan(y)][-1]
            ends.append((axes.transData.transform(end)[1] * points_per_pixel, end, line))

    lowest_free = -np.inf
    for height, end, line in sorted(ends, key=itemgetter(0)):
        label_height = max(height, lowest_free)
        lowest_free = label_height + LABEL_HEIGHT
        axes.annotate(
            line.get_label(),
            end,
            xytext=(6, label_height - height),
            textcoords="offset points",
            va="center",
            color=line.get_color(),
            annotation_clip=False,
        )


def _finished(figure: Figure) -> Figure:
    # A notebook shows an open figure twice: as open, and as the value of its cell.
    plt.close(figure)
    return figure
