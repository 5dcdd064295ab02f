"""Processors that shape the distribution one samples from. Each keeps at least `keep` tokens of a row."""

from __future__ import annotations

import torch
from torch import Tensor

from .choosing import best_tokens


class Temperature:
    """Divides the scores: below 1 sharpens the distribution, above 1 flattens it."""

    def __init__(self, temperature: float):
        self.temperature = temperature

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Divide."""
        return scores.div_(self.temperature)


class TopK:
    """Keeps the k best tokens."""

    def __init__(self, k: int, keep: int = 1):
        self.k = max(k, keep)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Drop what scores less than the k-th."""
        return scores.masked_fill_(scores < _kth(scores, self.k), -torch.inf)


class TopP:
    """Keeps the fewest tokens whose probabilities add up to p (Holtzman et al., 2019)."""

    def __init__(self, p: float, keep: int = 1):
        self.p, self.keep = p, keep

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Drop the tail that holds at most 1 - p."""
        ordered, order = scores.sort(descending=False)
        dropped = ordered.softmax(-1).cumsum(-1) <= 1 - self.p
        dropped[:, -self.keep :] = False
        return scores.masked_fill_(dropped.scatter(1, order, dropped), -torch.inf)


class MinP:
    """Keeps tokens at least p times as probable as the best one."""

    def __init__(self, p: float, keep: int = 1):
        self.p, self.keep = p, keep

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Drop the others."""
        probabilities = scores.softmax(-1)
        dropped = probabilities < self.p * probabilities.amax(-1, keepdim=True)
        best = scores.argsort(descending=True)[:, : self.keep]
        return scores.masked_fill_(dropped.scatter_(1, best, False), -torch.inf)


class Typical:
    """Keeps the tokens whose surprise is nearest to the expected one, up to a mass (Meister et al., 2022)."""

    def __init__(self, mass: float, keep: int = 1):
        self.mass, self.keep = mass, keep

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Drop what is more, or less, surprising."""
        logs = scores.log_softmax(-1)
        entropy = -(logs * logs.exp()).nansum(-1, keepdim=True)
        distance, order = (-logs - entropy).abs().sort()
        mass = scores.gather(1, order).softmax(-1).cumsum(-1)
        last = (mass < self.mass).sum(1, keepdim=True).clamp_(max=scores.shape[1] - 1)
        dropped = distance > distance.gather(1, last)
        dropped[:, : self.keep] = False
        return scores.masked_fill_(dropped.scatter(1, order, dropped), -torch.inf)


class Epsilon:
    """Keeps tokens at least as probable as epsilon (Hewitt et al., 2022)."""

    def __init__(self, epsilon: float, keep: int = 1):
        self.epsilon, self.keep = epsilon, keep

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Drop the improbable, never the best."""
        dropped = (scores.softmax(-1) < self.epsilon) & (scores < _kth(scores, self.keep))
        return scores.masked_fill_(dropped, -torch.inf)


class Eta:
    """Keeps tokens above a threshold that falls with the entropy of the distribution (Hewitt et al., 2022)."""

    def __init__(self, epsilon: float, keep: int = 1):
        self.epsilon, self.keep = epsilon, keep

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Drop what is below min(epsilon, sqrt(epsilon) * exp(-entropy)), never the best."""
        logs = scores.log_softmax(-1)
        probabilities = logs.exp()
        lowest = torch.finfo(logs.dtype).min
        entropy = -(logs.clamp(min=lowest) * probabilities).sum(-1, keepdim=True)
        epsilon = torch.tensor(self.epsilon, device=scores.device)
        threshold = torch.minimum(epsilon, epsilon.sqrt() * (-entropy).exp())
        dropped = (probabilities < threshold) & (scores < _kth(scores, self.keep))
        return scores.masked_fill_(dropped, -torch.inf)


def _kth(scores: Tensor, k: int) -> Tensor:
    return best_tokens(scores, k)[0][:, -1:]
