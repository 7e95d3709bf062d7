import copy

import pytest
import torch

from src.lstm_model import LSTMLM, LSTMConfig
from src.training.muon import WithMuon, hidden_matrices

CONFIG = LSTMConfig(vocab_size=20, embedding_dim=8, hidden_dim=16, num_layers=2, dropout=0.0)


def optimizer_of(model: LSTMLM) -> WithMuon:
    return WithMuon(torch.optim.AdamW(model.parameters(), 0.01), hidden_matrices(model), 0.1, weight_decay=0.0)


def step(model: LSTMLM, optimizer: torch.optim.Optimizer, seed: int) -> None:
    input_ids = torch.randint(1, 20, (4, 6), generator=torch.Generator().manual_seed(seed))
    model(input_ids, labels=input_ids).loss.backward()
    optimizer.step()
    optimizer.zero_grad()


@pytest.fixture
def model() -> LSTMLM:
    torch.manual_seed(0)
    return LSTMLM(CONFIG)


def test_muon_trains_the_matrices_between_embedding_and_output_layer(model):
    expected = {name for name, p in model.named_parameters() if "weight_" in name or "projection" in name}
    chosen = hidden_matrices(model)
    assert {name for name, p in model.named_parameters() if any(p is one for one in chosen)} == expected
    assert len(expected) == 5


def test_a_frozen_matrix_is_left_out(model):
    model.backbone.projection.weight.requires_grad = False
    assert all(p is not model.backbone.projection.weight for p in hidden_matrices(model))


def test_every_parameter_has_one_optimizer(model):
    optimizer = optimizer_of(model)
    taken = [p for group in optimizer.param_groups for p in group["params"]]
    assert len(taken) == len(set(taken)) == len(list(model.parameters()))


def test_an_update_of_muon_is_more_even_than_the_gradient(model):
    matrix = model.backbone.lstm.weight_hh_l0
    before = matrix.detach().clone()
    optimizer, gradients = optimizer_of(model), []
    matrix.register_hook(lambda gradient: gradients.append(gradient.clone()))
    step(model, optimizer, seed=1)
    update, gradient = (torch.linalg.svdvals(one) for one in (matrix.detach() - before, gradients[0]))
    assert update.median() > update.max() / 2
    assert gradient.median() < gradient.max() / 4


def test_a_schedule_reaches_both_optimizers(model):
    optimizer = optimizer_of(model)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda i: 1.0 if i == 0 else 0.0)
    step(model, optimizer, seed=1)
    schedule.step()
    before = copy.deepcopy(model.state_dict())
    step(model, optimizer, seed=2)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def largest_difference(one: LSTMLM, other: LSTMLM) -> float:
    pairs = zip(one.state_dict().values(), other.state_dict().values())
    return max(float((a - b).abs().max()) for a, b in pairs)


def test_a_restored_optimizer_makes_the_same_step_and_a_new_one_does_not(model):
    optimizer = optimizer_of(model)
    step(model, optimizer, seed=1)
    restored_model, new_model = copy.deepcopy(model), copy.deepcopy(model)
    restored = optimizer_of(restored_model)
    restored.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for trained, by in ((model, optimizer), (restored_model, restored), (new_model, optimizer_of(new_model))):
        for group in by.param_groups:
            group["lr"] /= 2
        step(trained, by, seed=2)
    # Muon computes in bf16, so the place of a matrix in memory may change the last digits.
    assert largest_difference(model, restored_model) < 1e-3
    assert largest_difference(model, new_model) > 3e-3
