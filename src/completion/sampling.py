"""Ways to choose the next tokens from their logits: the most probable ones, or samples."""

from collections.abc import Callable

import torch

# A function of logits, float [rows, vocab], and k, that returns k tokens for each row, int64 [rows, k].
Choose = Callable[[torch.Tensor, int], torch.Tensor]


def most_probable(logits: torch.Tensor, k: int) -> torch.Tensor:
    """Return the k tokens with the highest logits in each row, best first, int64 [rows, k]."""
    return logits.topk(k, dim=1).indices


def sampler(temperature: float, top_p: float, generator: torch.Generator | None) -> Choose:
    """Return a function that divides logits by a temperature and draws tokens from the nucleus, with replacement."""

    def choose(logits: torch.Tensor, k: int) -> torch.Tensor:
        # The maximum becomes 0, so that no temperature makes a logit infinite.
        probabilities = ((logits - logits.amax(dim=1, keepdim=True)) / temperature).softmax(dim=1)
        return torch.stack([draw_from_nucleus(probabilities, top_p, generator) for _ in range(k)], dim=1)

    return choose


def draw_from_nucleus(
    probabilities: torch.Tensor, top_p: float, generator: torch.Generator | None = None
) -> torch.Tensor:
    """Draw one token for each row from its nucleus: the smallest set of tokens with a probability of at least `top_p`.

    A token is in the nucleus (Holtzman et al., 2020) if the more probable tokens together have less than
    `top_p`. If a drawn token is outside, so are all less probable ones, and the next draw is among the more
    probable ones. This gives the same distribution as sorting, in a fraction of the time.

    Args:
        probabilities: float [rows, vocab].

    Returns:
        int64 [rows].
    """
    tokens = torch.empty(len(probabilities), dtype=torch.long, device=probabilities.device)
    rows = torch.arange(len(probabilities), device=probabilities.device)
    while len(rows):
        cumulative = probabilities.cumsum(dim=1)
        points = torch.rand(len(rows), 1, device=rows.device, generator=generator) * cumulative[:, -1:]
        drawn = torch.searchsorted(cumulative, points, right=True).clamp(max=probabilities.shape[1] - 1)
        tokens[rows] = drawn[:, 0]
        probability = probabilities.gather(1, drawn)
        # Rounding may put a point after every token that has a probability.
        outside = probability[:, 0] == 0
        if top_p < 1:
            outside |= torch.where(probabilities > probability, probabilities, 0).sum(dim=1) >= top_p
        rows, probabilities, probability = rows[outside], probabilities[outside], probability[outside]
        probabilities = torch.where(probabilities > probability, probabilities, 0)
    return tokens
