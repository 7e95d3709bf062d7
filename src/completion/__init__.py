"""Tweet completions from any causal language model."""

from src.completion.completer import Completer, best_answers, complete
from src.completion.decoding import GREEDY, WORDS, Decoding
from src.completion.prefix_memory import PrefixMemory

__all__ = ["GREEDY", "WORDS", "Completer", "Decoding", "PrefixMemory", "best_answers", "complete"]
