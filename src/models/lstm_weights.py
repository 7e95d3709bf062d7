"""The LSTM's weights: their initial values, and their layout in a file."""

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
