"""Turn a model's probability of a suggestion into the share of such suggestions that are right."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

CALIBRATION_FILE = "calibration.json"
# float32 can't tell probabilities closer to 0 or 1 apart.
MARGIN = 1e-6


class CalibrationError(ValueError):
    """The calibration of a run folder can't be read; the message says why and what to do."""


@dataclass(frozen=True)
class Calibration:
    """Platt scaling (Platt, 1999): sigmoid(slope * logit(p) + intercept); the default is the identity.

    The slope is above 0, so the order of suggestions stays. A slope below 1 makes an overconfident model less sure.

    Raises:
        ValueError: the slope or the intercept is no finite number, or the slope is not above 0.
    """

    slope: float = 1.0
    intercept: float = 0.0

    def __post_init__(self) -> None:
        for name, value in (("slope", self.slope), ("intercept", self.intercept)):
            # The comparison also refuses NaN and integers that no float can hold.
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if not is_number or not abs(value) <= sys.float_info.max:
                raise ValueError(f"the {name} must be a finite number")
        if self.slope <= 0:
            raise ValueError("the slope must be above 0")

    def apply(self, probabilities: np.ndarray | float) -> np.ndarray:
        """Calibrate probabilities, float64 of any shape; those within `MARGIN` of 0 or 1 count as that far from it."""
        # A steep slope makes infinite logits, whose probabilities are 0 and 1.
        with np.errstate(over="ignore"):
            return sigmoid(self.slope * logit(probabilities) + self.intercept)


IDENTITY = Calibration()


def logit(probabilities: np.ndarray | float) -> np.ndarray:
    """Log-odds in nats of probabilities that are kept `MARGIN` away from 0 and 1."""
    inside = np.clip(probabilities, MARGIN, 1 - MARGIN)
    return np.log(inside) - np.log1p(-inside)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Probabilities of log-odds, without overflow."""
    return 0.5 * (1 + np.tanh(0.5 * logits))


def load_calibration(run_dir: str | Path) -> Calibration:
    """Read `calibration.json` of a run folder; without the file, probabilities stay as they are.

    `src.files.write_json(path, dataclasses.asdict(calibration))` writes the file.

    Raises:
        CalibrationError: the file does not hold a calibration.
    """
    path = Path(run_dir) / CALIBRATION_FILE
    advice = "restore the file, or delete it to see the model's own probabilities"
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return IDENTITY
    except json.JSONDecodeError as error:
        raise CalibrationError(f"{path} is not JSON (line {error.lineno}): {advice}") from None
    except UnicodeDecodeError:
        raise CalibrationError(f"{path} is not UTF-8: {advice}") from None
    except (OSError, ValueError, RecursionError) as error:
        # Python reads neither numbers with thousands of digits nor thousands of nested brackets.
        raise CalibrationError(f"{path} can't be read ({error}): {advice}") from None
    if not isinstance(values, dict) or values.keys() != {"slope", "intercept"}:
        raise CalibrationError(f"{path} does not hold a slope and an intercept: {advice}")
    try:
        return Calibration(**values)
    except ValueError as error:
        raise CalibrationError(f"{path} does not hold a calibration ({error}): {advice}") from None
