"""How the next tokens are chosen from their scores: the most probable ones, or samples."""

from collections.abc import Callable

import torch

# From scores [rows, vocab] and a number k to k tokens of each row, int64 [rows, k].
Choose = Callable[[torch.Tensor, int], torch.Tensor]


def most_probable(scores: torch.Tensor, k: int) -> torch.Tensor:
    """The k tokens with the highest scores, best first, int64 [rows, k]."""
    return scores.topk(k, dim=1).indices


def sampler(temperature: float, top_p: float, generator: torch.Generator | None) -> Choose:
    """Draws tokens from the nucleus of the scores' softmax, with replacement."""

    def choose(scores: torch.Tensor, k: int) -> torch.Tensor:
        # However low the temperature, the largest is 0, not infinite.
        probabilities = ((scores - scores.amax(dim=1, keepdim=True)) / temperature).softmax(dim=1)
        return torch.stack([draw_from_nucleus(probabilities, top_p, generator) for _ in range(k)], dim=1)

    return choose


def draw_from_nucleus(
    probabilities: torch.Tensor, top_p: float, generator: torch.Generator | None = None
) -> torch.Tensor:
    """One token of each row, int64 [rows], from the smallest set that has probability `top_p`.

    A token is in this set if all more probable ones have less than `top_p` together. If the drawn
    one isn't, nothing less probable is either, and the next draw is among the rest: the same
    distribution as from sorted probabilities, in a fraction of the time.
    """
    tokens = torch.empty(len(probabilities), dtype=torch.long, device=probabilities.device)
    rows = torch.arange(len(probabilities), device=probabilities.device)
    while len(rows):
        cumulative = probabilities.cumsum(dim=1)
        points = torch.rand(len(rows), 1, device=rows.device, generator=generator) * cumulative[:, -1:]
        drawn = torch.searchsorted(cumulative, points, right=True).clamp(max=probabilities.shape[1] - 1)
        tokens[rows] = drawn[:, 0]
        probability = probabilities.gather(1, drawn)
        # Rounding may put a point behind everything that has a probability.
        outside = probability[:, 0] == 0
        if top_p < 1:
            outside |= torch.where(probabilities > probability, probabilities, 0).sum(dim=1) >= top_p
        rows, probabilities, probability = rows[outside], probabilities[outside], probability[outside]
        probabilities = torch.where(probabilities > probability, probabilities, 0)
    return tokens
