"""One trainer and one loss for every model."""

from src.training.train import TrainingResult, TrainingSettings, train
from src.training.trainer import TrainingError

__all__ = ["TrainingError", "TrainingResult", "TrainingSettings", "train"]
