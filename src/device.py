"""Where a model runs."""

import torch


def pick_device(device: str | torch.device | None = None) -> torch.device:
    """The device asked for, or else the best there is: CUDA, Apple's MPS, the CPU."""
    if device is not None:
        return torch.device(device)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
