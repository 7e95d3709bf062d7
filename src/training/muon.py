"""Muon for the matrices of hidden layers, beside another optimizer for everything else."""

import torch
from torch.optim import Muon, Optimizer
from transformers import PreTrainedModel


def hidden_matrices(model: PreTrainedModel) -> list[torch.nn.Parameter]:
    """The trained matrices between hidden layers: all but embeddings and the output layer."""
    embeddings = [module for module in model.modules() if isinstance(module, torch.nn.Embedding)]
    left_out = {p for module in (*embeddings, model.get_output_embeddings()) for p in module.parameters()}
    return [p for p in model.parameters() if p.requires_grad and p.ndim == 2 and p not in left_out]


class WithMuon(Optimizer):
    """Muon (Jordan et al., 2024) and another optimizer, which step together.

    Muon makes the singular values of an update nearly equal, so that rare directions are learned as fast as frequent
    ones. It is meant for matrices between hidden layers.

    Args:
        other: the optimizer of all parameters, before its first step. `matrices` are removed from it.
        matrices: what Muon trains.
        learning_rate, weight_decay: those of Muon.
    """

    def __init__(self, other: Optimizer, matrices: list[torch.nn.Parameter], learning_rate: float, weight_decay: float):
        taken = set(matrices)
        for group in other.param_groups:
            group["params"] = [p for p in group["params"] if p not in taken]
        self.optimizers = [other, Muon(matrices, learning_rate, weight_decay=weight_decay)]
        # The groups themselves, not copies: each optimizer uses the learning rate that a schedule sets here.
        super().__init__([group for one in self.optimizers for group in one.param_groups], defaults={})

    @torch.no_grad()
    def step(self, closure=None) -> None:
        if closure is not None:
            raise ValueError("a closure would be evaluated once for each optimizer: call step() after backward()")
        for one in self.optimizers:
            one.step()

    def state_dict(self) -> dict:
        return {"optimizers": [one.state_dict() for one in self.optimizers]}

    def load_state_dict(self, state_dict: dict) -> None:
        for one, state in zip(self.optimizers, state_dict["optimizers"], strict=True):
            one.load_state_dict(state)
        self.param_groups = [group for one in self.optimizers for group in one.param_groups]
