"""The figures about the data and about one model, and the curves of benchmarks."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from src.evaluation.metrics import METRICS
from src.report.drawing import (
    BLACK,
    BLUE,
    GREY,
    SKY_BLUE,
    SMALL,
    label_line_ends,
    label_point,
    new_figure,
    separate_labels,
    styled,
    system_colour,
    title_with_direction,
    use_log_axis,
)

PROBABILITIES = LinearSegmentedColormap.from_list("probabilities", ("white", SKY_BLUE, BLUE))
COLUMN_CHARACTERS = 60  # of the titles of all columns, as many as fit side by side


@styled
def plot_tweet_lengths(texts: Sequence[str]) -> Figure:
    """Histogram of the number of words per tweet."""
    lengths = pd.Series(list(texts), dtype=object).str.count(" ") + 1
    figure = new_figure(2.5)
    axes = figure.subplots()
    # A few very long tweets would stretch the axis. Each bar is one length.
    counts = lengths[lengths <= lengths.quantile(0.999)].value_counts()
    axes.bar(counts.index, counts, width=0.9, color=BLUE)
    median = lengths.median()
    axes.axvline(median, color=BLACK, linestyle="--")
    _note_at_the_top(axes, median, f"median {median:.0f}")
    axes.set(xlabel="words after cleaning", ylabel="tweets", ylim=(0, 1.12 * counts.max()))
    axes.set_title("Length of tweets", loc="left")
    axes.grid(visible=False, axis="x")
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    return figure


@styled
def plot_shares(shares: pd.Series) -> Figure:
    """Horizontal bars of the shares of raw tweets, in [0, 1], that contain what cleaning replaces or removes."""
    figure = new_figure(0.9 + 0.3 * len(shares))
    axes = figure.subplots()
    bars = axes.barh(shares.index, shares * 100, height=0.65, color=BLUE)
    axes.bar_label(bars, fmt="%.1f%%", padding=3)
    axes.set(xlabel="% of raw tweets", xlim=(0, max(1.0, shares.max() * 115)))
    axes.set_title("What raw tweets contain", loc="left")
    axes.grid(visible=False, axis="y")
    axes.invert_yaxis()
    return figure


@styled
def plot_training(
    history: Sequence[dict], name: str, all_tokens_share: float = 1.0, num_sampled_tokens: int | None = None
) -> Figure:
    """Training loss, and validation loss below it, against the number of tweets seen.

    The two are different quantities, so each has its own panel. A point of the training loss is the mean over all
    steps since the point before. Where the training loss changes, its line breaks, and a point that mixes both losses
    is left out. The change is only in the right place if the run ended where it was planned to end.

    Args:
        history: the history of a `TrainingResult` of `src.training.train`.
        name: the name of the model for the titles. Without "the", it is the name of the system that gives the colour.
        all_tokens_share, num_sampled_tokens: as in `TrainingSettings` of `src.training.train`. Without the number of
            sampled tokens, the figure doesn't say which softmax the training loss has.
    """
    table = pd.DataFrame(history).astype({"train_loss": np.float64})
    colour = system_colour(name.removeprefix("the "))
    figure = new_figure(4.6)
    training, validation = figure.subplots(2, 1, sharex=True)
    training.set_title(f"Training loss of {name} ↓", loc="left")
    validation.set_title(f"Validation loss of {name} ↓", loc="left")
    training.set_ylabel("\n".join(("nats per token:", *_covered_tokens(all_tokens_share, num_sampled_tokens))))
    validation.set(xlabel="tweets seen", ylabel="nats per token:\ntarget tokens,\nfull softmax")
    for losses in _losses_by_kind(table, all_tokens_share):
        training.plot(table["tweets_seen"], losses, marker="o", color=colour)
    validation.plot(table["tweets_seen"], table["val_loss"], marker="o", color=colour)
    if 0 < all_tokens_share < 1:
        change = all_tokens_share * table["tweets_seen"].iloc[-1]
        for axes in (training, validation):
            axes.axvline(change, color=BLACK, linestyle="--", linewidth=1)
        _note_at_the_top(training, change, "all tokens", side="right")
        _note_at_the_top(training, change, "targets only")
    best = table["val_loss"].argmin()
    point = table["tweets_seen"][best], table["val_loss"][best]
    validation.xaxis.set_major_locator(MaxNLocator(5, steps=(1, 2, 5, 10)))
    validation.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    separate_labels(figure, [label_point(validation, f"best: {point[1]:.2f}", point, colour)])
    return figure


def _covered_tokens(all_tokens_share: float, num_sampled_tokens: int | None) -> list[str]:
    """What the training loss covers, in lines of a label."""
    if all_tokens_share == 0:
        return ["target tokens,", "full softmax"]
    if num_sampled_tokens is None:
        lines = ["all tokens"]
    else:
        lines = ["all tokens,", "sampled softmax" if num_sampled_tokens else "full softmax"]
    return lines if all_tokens_share == 1 else [*lines, "before the line"]


def _losses_by_kind(table: pd.DataFrame, all_tokens_share: float) -> list[pd.Series]:
    """The training losses over all tokens and those over targets only; in each, NaN for the other kind."""
    change = all_tokens_share * table["tweets_seen"].iloc[-1]
    starts = table["tweets_seen"].shift(fill_value=0)
    share_before = ((change - starts) / (table["tweets_seen"] - starts)).clip(0, 1)
    # The change may be a step or two away from an evaluation.
    return [table["train_loss"].where(share_before > 0.99), table["train_loss"].where(share_before < 0.01)]


def _note_at_the_top(axes: Axes, x: float, text: str, side: str = "left") -> None:
    """Write a text beside a vertical line, inside the panel; `side` is the side of the text that is at the line."""
    axes.annotate(
        text,
        (x, 1),
        xycoords=("data", "axes fraction"),
        xytext=(4 if side == "left" else -4, -2),
        textcoords="offset points",
        ha=side,
        va="top",
        fontsize=SMALL,
    )


@styled
def plot_next_word(probabilities: pd.DataFrame) -> Figure:
    """A table in colours: how the probability of each next word changes while a sentence is read, word by word.

    Args:
        probabilities: one row for each word read, with this word as its label; one column for each candidate for the
            next word; probabilities in [0, 1]. The most probable candidate of each row is bold.
    """
    values = probabilities.to_numpy(np.float64)
    figure = new_figure(1.0 + 0.32 * len(values))
    axes = figure.subplots()
    most = np.nanmax(values, initial=0.01)
    # The square root keeps small probabilities apart.
    axes.imshow(values, cmap=PROBABILITIES, norm=PowerNorm(0.5, 0, most), aspect="auto")
    for row, column in np.argwhere(~np.isnan(values)):
        value = values[row, column]
        axes.text(
            column,
            row,
            f"{value:.0%}" if value >= 0.005 or value == 0 else "<1%",
            ha="center",
            va="center",
            color="white" if value > 0.45 * most else BLACK,
            weight="bold" if value == np.nanmax(values[row]) else "normal",
        )
    candidates = [str(candidate) for candidate in probabilities.columns]
    is_wide = max(map(len, candidates)) * len(candidates) > COLUMN_CHARACTERS
    rotation = {"rotation": 35, "ha": "left", "rotation_mode": "anchor"} if is_wide else {}
    axes.set_xticks(range(len(candidates)), candidates, **rotation)
    words = [f"… {word}" if row else str(word) for row, word in enumerate(probabilities.index)]
    axes.set_yticks(range(len(values)), words)
    axes.set_ylabel("words read")
    axes.set_title("Probability of the next word", loc="left")
    axes.tick_params(length=0, top=False, bottom=False, labeltop=True, labelbottom=False)
    axes.spines[:].set_visible(False)
    axes.grid(visible=False)
    return figure


@styled
def plot_reliability(tables: dict[str, pd.DataFrame]) -> Figure:
    """Share of suggestions that are right against their probability, and how many suggestions have which probability.

    Args:
        tables: at most two tables of `src.evaluation.reliability.reliability_table`, by the name of their line.
    """
    figure = new_figure(5.2)
    axes, counts = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    axes.plot((0, 1), (0, 1), color=GREY, linestyle="--", linewidth=1.2, label="perfect")
    for (name, table), colour in zip(tables.items(), (SKY_BLUE, BLUE)):
        axes.plot(table["mean_probability"], table["share_right"], marker="o", color=colour, label=name)
        counts.plot(table["mean_probability"], table["shown"], marker="o", color=colour)
    axes.set(xlim=(0, 1), ylim=(0, 1), ylabel="share of suggestions that are right")
    axes.set_title("Is a suggestion right as often as its probability says?", loc="left")
    counts.set(xlabel="probability of the suggestion", ylabel="suggestions", ylim=(0, None))
    counts.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    label_line_ends(figure)
    return figure


@styled
def plot_curves(table: pd.DataFrame, x: str, metric_ids: Sequence[str]) -> Figure:
    """One panel per metric: its estimates against a column on a logarithmic axis, one line per system.

    Args:
        table: columns `system`, `x` (numbers) and one per metric id (`Estimate`s).
        x: the column for the horizontal axis, also its title.
        metric_ids: the metrics to draw.
    """
    figure = new_figure(0.4 + 2.2 * len(metric_ids))
    all_axes = figure.subplots(len(metric_ids), 1, squeeze=False, sharex=True)[:, 0]
    for axes, metric_id in zip(all_axes, metric_ids):
        for system, rows in table.groupby("system", sort=False):
            values = np.array([estimate.value for estimate in rows[metric_id]])
            bounds = np.array([(estimate.low, estimate.high) for estimate in rows[metric_id]])
            colour = system_colour(system)
            axes.plot(rows[x], values, marker="o", color=colour, label=system)
            axes.vlines(rows[x], *bounds.T, color=colour)
        axes.set_title(title_with_direction(METRICS[metric_id]), loc="left")
        use_log_axis(axes, "x", table[x])
        values = [estimate.value for estimate in table[metric_id]]
        if max(values) > 10 * min(values):
            use_log_axis(axes, "y", values)
    all_axes[-1].set_xlabel(x.replace("_", " "))
    label_line_ends(figure)
    return figure
