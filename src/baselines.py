"""The floor of every table: an answer that needs no language model.

It can be evaluated like the models, see `src.evaluation.System`, and knows the training texts only.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from src.completion import Completion
from src.data_utils import split_x_target_by_words


class ConstantAnswer:
    """The same few words for every prefix, chosen for the best mean ROUGE-1 on training targets.

    Its next words are the three that most training targets begin with.

    Args:
        texts: cleaned training texts of two words or more.
        num_candidates: frequent target words to choose from.
        max_targets: training targets to choose on, the first ones.
    """

    name = "constant answer"

    def __init__(self, texts: Sequence[str], num_candidates: int = 200, max_targets: int = 20_000):
        targets = [split_x_target_by_words(text)[1].split(" ") for text in texts[:max_targets]]
        frequency = Counter(word for target in targets for word in target)
        candidates = [word for word, _ in frequency.most_common(num_candidates)]
        contains = np.array([[word in target for word in candidates] for target in map(set, targets)])
        target_lengths = np.array([len(target) for target in targets])
        chosen: list[int] = []
        best = 0.0
        while len(chosen) < len(candidates):
            # For distinct words this is ROUGE-1's F1: twice the overlap by the sum of both lengths.
            overlap = contains[:, chosen].sum(axis=1)[:, None] + contains
            mean_f1 = (2 * overlap / (len(chosen) + 1 + target_lengths)[:, None]).mean(axis=0)
            mean_f1[chosen] = -1.0
            if mean_f1.max() <= best:
                break
            best = mean_f1.max()
            chosen.append(int(mean_f1.argmax()))
        self.answer = " ".join(candidates[i] for i in chosen)

        first_words = Counter(target[0] for target in targets)
        self.most_frequent_next = [word for word, _ in first_words.most_common(3)]

    def complete(self, prefixes: Sequence[str]) -> list[Completion]:
        return [Completion(self.answer, confidence=0.0) for _ in prefixes]

    def next_words(self, prefixes: Sequence[str]) -> list[list[str]]:
        return [self.most_frequent_next for _ in prefixes]

    def likelihood(self, texts: Sequence[str]) -> None:
        """None: it has no probabilities."""
