"""The scores of `src.evaluation.metrics` as metrics of Hugging Face's `evaluate`, which load without a network.

For example `evaluate.combine([Rouge(), ExactMatch()]).compute(predictions=answers, references=targets)`.
"""

import datasets
import evaluate

from src.evaluation.metrics import FIRST_WORDS, ROUGE_TYPES, answer_scores, distinct_ngrams

CITATION = "Lin (2004); Li et al. (2016); Chen et al. (2019)"


class CompletionMetric(evaluate.Metric):
    """Predictions and references are cleaned texts: the answers and the true last words of tweets."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=type(self).__doc__,
            citation=CITATION,
            inputs_description="predictions, references: lists of str, cleaned texts",
            features=datasets.Features(
                {"predictions": datasets.Value("string"), "references": datasets.Value("string")}
            ),
        )


class Rouge(CompletionMetric):
    """Mean ROUGE-1, ROUGE-2 and ROUGE-L F1, without a stemmer."""

    def _compute(self, predictions: list[str], references: list[str]) -> dict[str, float]:
        return answer_scores(predictions, references)[list(ROUGE_TYPES)].mean().to_dict()


class ExactMatch(CompletionMetric):
    """Share of answers that are the whole target, and that begin with its first 2 to 5 words."""

    def _compute(self, predictions: list[str], references: list[str]) -> dict[str, float]:
        names = ["exact_match", *(f"exact_match_{n}" for n in FIRST_WORDS)]
        return answer_scores(predictions, references)[names].mean().to_dict()


class KeystrokeSavings(CompletionMetric):
    """Share of the target's characters that accepting right beginnings saves, an upper bound."""

    def _compute(self, predictions: list[str], references: list[str]) -> dict[str, float]:
        scores = answer_scores(predictions, references)
        return {"keystroke_savings": float(scores["saved_keystrokes"].sum() / scores["characters"].sum())}


class LengthRatio(CompletionMetric):
    """Words of the answers by words of the targets; 1 is calibrated."""

    def _compute(self, predictions: list[str], references: list[str]) -> dict[str, float]:
        scores = answer_scores(predictions, references)
        return {"length_ratio": float(scores["answer_words"].sum() / scores["target_words"].sum())}


class Distinct(CompletionMetric):
    """Different words and word pairs among all, of every hundred answers."""

    def _compute(self, predictions: list[str], references: list[str]) -> dict[str, float]:
        totals = {n: distinct_ngrams(predictions, n).sum() for n in (1, 2)}
        return {f"distinct_{n}": float(total["distinct"] / max(total["ngrams"], 1)) for n, total in totals.items()}
