"""Completions from any causal language model."""

from src.completion.completer import best_answers, complete
from src.completion.decoding import GREEDY, Decoding
from src.completion.prefix_memory import PrefixMemory

__all__ = ["GREEDY", "Decoding", "PrefixMemory", "best_answers", "complete"]
