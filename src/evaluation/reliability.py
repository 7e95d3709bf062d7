"""Does a probability mean what it says? Of the suggestions with a probability of 70%, 70% should be right."""

import numpy as np
import pandas as pd


def reliability_table(probabilities: np.ndarray, is_right: np.ndarray, num_bins: int = 10) -> pd.DataFrame:
    """Compare the probabilities of suggestions with the share that is right, in bins of equal width.

    Args:
        probabilities: float64 [suggestions], from 0 to 1.
        is_right: bool [suggestions].
        num_bins: number of bins; each holds its lower edge, the last one also 1.

    Returns:
        a row for each bin that is not empty: number of suggestions `shown`, their `mean_probability`, `share_right`.

    Raises:
        ValueError: there are no suggestions, or a probability is not from 0 to 1.
    """
    if len(probabilities) == 0:
        raise ValueError("there are no suggestions: give at least one")
    if not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise ValueError("a probability is not from 0 to 1: give suggestions that all have one")
    bins = np.digitize(probabilities, np.arange(1, num_bins) / num_bins)
    groups = pd.DataFrame({"probability": probabilities, "right": is_right}).groupby(bins)
    return pd.DataFrame(
        {
            "shown": groups.size(),
            "mean_probability": groups["probability"].mean(),
            "share_right": groups["right"].mean(),
        }
    ).reset_index(drop=True)


def expected_calibration_error(probabilities: np.ndarray, is_right: np.ndarray, num_bins: int = 10) -> float:
    """Mean distance between probability and share right (Guo et al., 2017), from 0 to 1; each suggestion counts once.

    Args:
        probabilities, is_right, num_bins: as in `reliability_table`, which also says what is raised.
    """
    table = reliability_table(probabilities, is_right, num_bins)
    return float(np.average((table["mean_probability"] - table["share_right"]).abs(), weights=table["shown"]))
