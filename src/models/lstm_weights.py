"""The LSTM's weights: their initial values, their precision, and their layout in a file."""

from pathlib import Path
from zipfile import ZipFile

import torch
from torch import nn


@torch.no_grad()
def initialise_weights(module: nn.Module, embedding_std: float) -> None:
    """Draw or set the initial weights of a module of the LSTM.

    Args:
        module: an embedding, a linear layer, an LSTM or another module, which is left as it is.
        embedding_std: standard deviation of the embedding's weights.
    """
    if isinstance(module, nn.Embedding):
        nn.init.normal_(module.weight, std=embedding_std)
    elif isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.LSTM):
        for name, bias in module.named_parameters():
            if "bias" in name:
                nn.init.zeros_(bias)
            if "bias_ih" in name:
                # Forget gates start open (Jozefowicz et al., 2015).
                bias[module.hidden_size : 2 * module.hidden_size] = 1.0


def contiguous(state_dict: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the weights stored row by row, as safetensors needs them; tied weights stay one tensor."""
    tensors = {tensor.data_ptr(): tensor.contiguous() for tensor in state_dict.values()}
    return {name: tensors[tensor.data_ptr()] for name, tensor in state_dict.items()}


@torch.no_grad()
def round_to_half(model: nn.Module) -> None:
    """Round the weights of a model to 16 bits (float16), in place; they stay float32.

    A run folder of such weights takes half the space.
    """
    for parameter in model.parameters():
        parameter.copy_(parameter.half())


def smallest(state_dict: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the weights in float16 if that changes none of them, else as they are; tied weights stay one tensor."""
    halves = {tensor.data_ptr(): tensor.half() for tensor in state_dict.values()}
    if any((halves[tensor.data_ptr()].float() != tensor).any() for tensor in state_dict.values()):
        return state_dict
    return {name: halves[tensor.data_ptr()] for name, tensor in state_dict.items()}


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Read the weights in a file of `torch.save`.

    Raises:
        Exception: the file is damaged or holds something else; torch raises errors of many types.
    """
    weights = torch.load(path, map_location="cpu", weights_only=True)
    # torch does not compare the checksums of the archive.
    with ZipFile(path) as archive:
        if damaged := archive.testzip():
            raise ValueError(f"{damaged} in it is damaged")
    return weights
