"""The figures of the comparison: every system in its colour, the best on top where they are listed."""

import math
import textwrap
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from src.evaluation.evaluate import Evaluation
from src.evaluation.intervals import Estimate, Summary
from src.evaluation.metrics import METRICS, Metric
from src.evaluation.typing import TYPING_METRICS
from src.report.drawing import (
    BLACK,
    GREY,
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
from src.report.tables import BUSY, is_timed_on_busy_machine

ALL_METRICS = METRICS | TYPING_METRICS
LARGEST_DOT = 30  # points, the diameter of the largest system's dot
SUGGESTIONS = 3  # as many as the picture of keys saved against latency counts
GROUPS_WIDTH = 52  # characters of the names of all groups, as many as fit side by side
GROUP_WIDTH = 0.5  # the part of the space between two groups over which the systems' dots are spread


@styled
def plot_scores(summaries: dict[str, Summary], metric_ids: Sequence[str]) -> Figure:
    """One panel per metric: every system's score as a dot with its 95% interval.

    All panels list the systems in the same order, the best in the first metric on top.
    """
    systems = _best_first(summaries, METRICS[metric_ids[0]])
    figure, panels = _panels_of_rows(len(metric_ids), systems)
    for axes, metric_id in zip(panels, metric_ids):
        for row, system in enumerate(systems):
            if metric_id in summaries[system]:
                _dot_with_interval(axes, row, summaries[system][metric_id], system_colour(system))
        axes.set_title(title_with_direction(METRICS[metric_id]), loc="left")
    return figure


@styled
def plot_differences(differences: Sequence[dict]) -> Figure:
    """One panel per metric: the paired difference of each two systems as a dot with its 95% interval.

    Right of zero, the first system of a row is the better one; for a metric in which lower is better, the axis is
    reversed. A dot has the colour of the better system, or is grey if its interval includes zero or is undefined. The
    largest advantage in the first metric is on top.

    Args:
        differences: dicts with `a` and `b`, the systems; `metric`, an id; `value`, `low` and `high`: the score of `a`
            minus that of `b`, with its interval; `n`. A difference that is NaN or None is not drawn.
    """
    metric_ids = list(dict.fromkeys(difference["metric"] for difference in differences))
    pairs = _largest_advantage_first(differences, metric_ids[0])
    figure, panels = _panels_of_rows(len(metric_ids), [f"{a}\n− {b}" for a, b in pairs], row_height=0.36)
    for axes, metric_id in zip(panels, metric_ids):
        axes.axvline(0, color=BLACK, linewidth=1)
        for one in differences:
            if one["metric"] == metric_id and _is_known(one):
                # False for an undefined interval too.
                excludes_zero = one["low"] > 0 or one["high"] < 0
                colour = system_colour(one["a"] if _advantage(one) > 0 else one["b"]) if excludes_zero else GREY
                estimate = Estimate(one["value"], one["low"], one["high"], one["n"])
                _dot_with_interval(axes, pairs.index((one["a"], one["b"])), estimate, colour)
        axes.set_title(title_with_direction(ALL_METRICS[metric_id]), loc="left")
        note = ""
        if ALL_METRICS[metric_id].lower_is_better:
            axes.invert_xaxis()
            note = "\n(axis reversed)"
        axes.set_xlabel(f"right of zero: first is better{note}", fontsize=SMALL)
    figure.supxlabel("colour: the better system; grey: the interval includes zero", fontsize=SMALL)
    return figure


def _is_known(difference: dict) -> bool:
    return difference["value"] is not None and not math.isnan(difference["value"])


def _advantage(difference: dict) -> float:
    """By how much the first system is better than the second."""
    return -difference["value"] if ALL_METRICS[difference["metric"]].lower_is_better else difference["value"]


def _largest_advantage_first(differences: Sequence[dict], metric_id: str) -> list[tuple[str, str]]:
    """The pairs of systems by the advantage of the first one in a metric, followed by pairs without it."""
    advantages = {(one["a"], one["b"]): -math.inf for one in differences}
    for one in differences:
        if one["metric"] == metric_id and _is_known(one):
            advantages[one["a"], one["b"]] = _advantage(one)
    return sorted(advantages, key=advantages.get, reverse=True)


@styled
def plot_tradeoff(record: dict) -> Figure:
    """Keys saved, and ROUGE-1 below them, against the median latency; the area of a dot is the system's size.

    A system without a latency or a size is left out, and one without a score is left out of this panel.

    Args:
        record: the record of a comparison, `comparison.json`, with the record of typing.
    """
    systems = {
        name: system
        for name, system in record["systems"].items()
        if system.get("seconds_per_suggestion") and system.get("megabytes")
    }
    typed = record["typing"]["systems"]
    keys_saved = {name: one["word"][str(SUGGESTIONS)]["metrics"]["keys_saved"] for name, one in typed.items()}
    rouge = {name: system["metrics"].get("rouge1") for name, system in systems.items()}
    largest = max(system["megabytes"] for system in systems.values())
    figure = new_figure(7)
    *panels, key = figure.subplots(3, 1, height_ratios=(10, 10, 1.4))
    panels[1].sharex(panels[0])
    titles = f"{title_with_direction(TYPING_METRICS['keys_saved'])} (% with three suggestions)", "ROUGE-1 ↑"
    labels = [
        label
        for axes, scores, factor in zip(panels, (keys_saved, rouge), (100, 1))
        for label in _draw_tradeoff(axes, systems, scores, largest, factor)
    ]
    for axes, title in zip(panels, titles):
        axes.set_title(title, loc="left")
        use_log_axis(axes, "x", [1000 * system["seconds_per_suggestion"] for system in systems.values()])
        axes.margins(0.12, 0.15)
    panels[0].tick_params(labelbottom=False)
    busy = f", {BUSY}" if is_timed_on_busy_machine(record) else ""
    panels[1].set_xlabel(f"milliseconds per suggestion ↓ (logarithmic{busy})")
    _draw_area_key(key, largest)
    separate_labels(figure, labels)
    return figure


def _draw_tradeoff(axes: Axes, systems: dict[str, dict], scores: dict[str, dict], largest: float, factor: int) -> list:
    """Draw the systems that have a score, and return their labels."""
    labels = []
    for name, system in systems.items():
        if scores.get(name) is None:
            continue
        score, colour = Estimate.from_record(scores[name]), system_colour(name)
        point = 1000 * system["seconds_per_suggestion"], factor * score.value
        area = _area(system["megabytes"], largest)
        axes.vlines(point[0], factor * score.low, factor * score.high, color=colour, linewidth=1.5)
        axes.scatter(*point, s=area, color=colour, alpha=0.35, linewidth=0)
        axes.scatter(*point, s=area, facecolor="none", edgecolor=colour, linewidth=1.2, label=name)
        labels.append(label_point(axes, name, point, colour, distance=math.sqrt(area) / 2 + 4))
    return labels


def _area(megabytes: float, largest: float) -> float:
    """The area of a system's dot in square points."""
    return LARGEST_DOT**2 * megabytes / largest


def _draw_area_key(axes: Axes, largest: float) -> None:
    """Show the dots of three sizes in MB, with round numbers, in a panel of their own."""
    top = 10 ** math.floor(math.log10(largest))
    top *= max(step for step in (1, 2, 5) if step * top <= largest)
    axes.set_axis_off()
    axes.set(xlim=(0, 1), ylim=(-1, 1))
    axes.text(0, 0, "area of a dot: size", va="center", fontsize=SMALL)
    for x, megabytes in zip((0.3, 0.5, 0.7), (top / 100, top / 10, top)):
        axes.scatter(x, 0, s=_area(megabytes, largest), facecolor="#D8D8D8", edgecolor=GREY, clip_on=False)
        axes.text(x + 0.05, 0, f"{megabytes:,g} MB", va="center", fontsize=SMALL)


@styled
def plot_minutes(curves: dict[str, pd.DataFrame], ylabel: str, lower_is_better: bool = True) -> Figure:
    """A score against minutes of training on a logarithmic axis, one line per system.

    Args:
        curves: for each system, a row per point: `minutes`, `value` and, if known, its interval `low` to `high`.
        ylabel: the full name of the score.
    """
    figure = new_figure(3.6)
    axes = figure.subplots()
    for name, curve in curves.items():
        colour = system_colour(name)
        axes.plot(curve["minutes"], curve["value"], marker="o", color=colour, label=name)
        if {"low", "high"} <= set(curve.columns):
            axes.vlines(curve["minutes"], curve["low"], curve["high"], color=colour, linewidth=1.5)
    table = pd.concat(curves.values())
    use_log_axis(axes, "x", table["minutes"])
    if table["value"].max() > 10 * table["value"].min() > 0:
        use_log_axis(axes, "y", table["value"])
    axes.set(xlabel="minutes of training (logarithmic)")
    axes.set_title(f"{ylabel} {'↓' if lower_is_better else '↑'}", loc="left")
    label_line_ends(figure)
    return figure


@styled
def plot_typing(record: dict, systems: Sequence[str], n: int) -> Figure:
    """Keys saved against the suggestions that a person sees for it, one curve per system.

    At the right end of a curve, a system shows n suggestions before every letter, and a key takes one word. To the
    left, it shows only those of which it is more and more sure.

    Args:
        record: the record of `src.evaluation.typing.typing_record`.
        systems: the systems to draw.
        n: the number of suggestions, 1 or 3.
    """
    figure = new_figure(3.8)
    axes = figure.subplots()
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
    axes.set_xlabel("suggestions shown per tweet (left: only the surest)")
    axes.set(xlim=(0, None), ylim=(0, max(1.0, 1.05 * axes.dataLim.ymax)))
    title = title_with_direction(TYPING_METRICS["keys_saved"])
    suggestions = "one suggestion" if n == 1 else f"{n} suggestions"
    axes.set_title(f"{title} (% with {suggestions} before each letter)", loc="left")
    label_line_ends(figure)
    return figure


@styled
def plot_coverage(evaluations: Sequence[Evaluation]) -> Figure:
    """Exact match against the share of pairs whose answer is shown, the most confident answers first."""
    figure = new_figure(3.5)
    axes = figure.subplots()
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
    axes.set_xlabel("coverage: share of pairs whose answer is shown")
    axes.set_title(f"{title_with_direction(METRICS['exact_match'])} of the most confident answers", loc="left")
    label_line_ends(figure)
    return figure


@styled
def plot_by_group(tables: dict[str, pd.DataFrame]) -> Figure:
    """One panel per table: the score of every system in each group, as dots with 95% intervals.

    Args:
        tables: by the title of their panel; a row for each group, in order; a column for each system; cells are
            `Estimate`s. A cell that is NaN, None or an estimate of NaN is left out.
    """
    figure = new_figure(2.5 * len(tables))
    all_axes = figure.subplots(len(tables), 1, squeeze=False)[:, 0]
    for axes, (title, table) in zip(all_axes, tables.items()):
        shifts = np.linspace(-GROUP_WIDTH / 2, GROUP_WIDTH / 2, len(table.columns) + 2)[1:-1]
        for system, shift in zip(table.columns, shifts):
            cells = [cell if isinstance(cell, Estimate) else Estimate(*[math.nan] * 3, 0) for cell in table[system]]
            x, colour = np.arange(len(table)) + shift, system_colour(system)
            axes.vlines(x, [cell.low for cell in cells], [cell.high for cell in cells], color=colour, linewidth=1.5)
            axes.plot(x, [cell.value for cell in cells], "o-", color=colour, linewidth=0.8, label=system)
        width = max(6, GROUPS_WIDTH // len(table))
        axes.set_xticks(range(len(table)), [textwrap.fill(str(group), width) for group in table.index])
        axes.set_xlim(-0.5, len(table) - 0.5)
        axes.grid(visible=False, axis="x")
        axes.set_title(title, loc="left")
    label_line_ends(figure)
    return figure


def _panels_of_rows(num_panels: int, rows: Sequence[str], row_height: float = 0.24) -> tuple[Figure, list[Axes]]:
    """Panels, two side by side, that share their rows; the first row is on top."""
    num_columns = min(2, num_panels)
    num_lines = -(-num_panels // num_columns)
    figure = new_figure(num_lines * (0.95 + row_height * len(rows)))
    grid = figure.subplots(num_lines, num_columns, squeeze=False, sharey=True)
    panels = list(grid.flat[:num_panels])
    for axes in grid.flat[num_panels:]:
        axes.remove()
    for axes in panels:
        axes.set_yticks(range(len(rows)), rows)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=(1, 2, 5, 10)))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.9g}"))
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
    return figure, panels


def _dot_with_interval(axes: Axes, row: int, estimate: Estimate, colour: str) -> None:
    axes.hlines(row, estimate.low, estimate.high, color=colour, linewidth=2)
    axes.plot(estimate.value, row, "o", color=colour)


def _best_first(summaries: dict[str, Summary], metric: Metric) -> list[str]:
    """The systems from best to worst in a metric, followed by those without it."""
    scored = [name for name, one in summaries.items() if metric.id in one and not math.isnan(one[metric.id].value)]
    scored.sort(key=lambda system: summaries[system][metric.id].value, reverse=not metric.lower_is_better)
    return [*scored, *(system for system in summaries if system not in scored)]
