"""Learning curves: read from the files of budgets, averaged over seeds, and where two of them cross."""

import json

import pandas as pd
import pytest

from benchmarks.quality.learning_curves import budget_curves, crossings, mean_curves


def curve(minutes, values):
    return pd.DataFrame({"minutes": minutes, "value": values}, dtype=float)


def test_curves_cross_where_straight_lines_meet():
    falling, level = curve([0, 10], [4, 0]), curve([0, 5, 10], [1, 1, 1])
    assert crossings(falling, level) == pytest.approx([7.5])
    assert crossings(level, falling) == pytest.approx([7.5])


def test_curves_do_not_cross_outside_the_minutes_that_both_have():
    assert crossings(curve([0, 5], [4, 2]), curve([4, 10], [1, 3])) == []


def test_seeds_are_averaged_and_a_minute_is_one_of_the_budget(tmp_path):
    for seed, bits in ((0, [4.0, 2.0]), (1, [2.0, 1.0])):
        points = [{"tweets_seen": seen, "bits_per_character": one} for seen, one in zip((600, 1_200), bits)]
        row = {"name": "lstm", "budget_minutes": 2.0, "seed": seed, "tweets_per_second": 10.0, "curve": points}
        (tmp_path / f"budgets_lstm_{seed}_2_minutes.json").write_text(json.dumps({"rows": [row]}))
    rows = budget_curves(tmp_path)
    assert [row["seed"] for row in rows] == [0, 1]
    [(key, mean)] = mean_curves(rows).items()
    assert key == ("lstm", 2.0)
    assert mean.to_dict("list") == {"minutes": [1.0, 2.0], "value": [3.0, 1.5]}
