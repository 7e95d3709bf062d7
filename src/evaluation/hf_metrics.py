"""The scores of `src.evaluation.metrics` as metrics of Hugging Face's `evaluate`; they load without a network.

>>> import evaluate
>>> from src.evaluation.hf_metrics import ExactMatch, Rouge
>>> metrics = evaluate.combine([Rouge(), ExactMatch()])
>>> scores = metrics.compute(predictions=["to bed", "at ten"], references=["to bed", "at nine"])
>>> scores["rouge1"], scores["exact_match"]
(0.75, 0.5)
"""

import datasets
import evaluate

from src.evaluation.metrics import FIRST_WORDS, ROUGE_TYPES, answer_scores, distinct_ratio, score_ratios

CITATION = "Lin (2004); Li et al. (2016); Chen et al. (2019)"


class CompletionMetric(evaluate.Metric):
    """One or more scores of answers (predictions) against targets (references), both cleaned texts.

    Attributes:
        metric_ids: the scores, as ids in `src.evaluation.metrics.METRICS`.
    """

    metric_ids: tuple[str, ...]

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=type(self).__doc__,
            citation=CITATION,
            inputs_description="predictions, references: lists of str, cleaned texts",
            features=datasets.Features(
                {"predictions": datasets.Value("string"), "references": datasets.Value("string")}
            ),
        )

    def _compute(self, predictions: list[str], references: list[str]) -> dict[str, float]:
        ratios = score_ratios(answer_scores(predictions, references))
        return {metric_id: ratios[metric_id].value for metric_id in self.metric_ids}


class Rouge(CompletionMetric):
    """Mean ROUGE-1, ROUGE-2 and ROUGE-L F1, without a stemmer."""

    metric_ids = ROUGE_TYPES


class ExactMatch(CompletionMetric):
    """Share of answers that equal the target, and share that match its first 2, 3, 4 or 5 words."""

    metric_ids = ("exact_match", *(f"exact_match_{n}" for n in FIRST_WORDS))


class KeystrokeSavings(CompletionMetric):
    """Share of the target's characters that accepting correct first words saves, an upper bound."""

    metric_ids = ("keystroke_savings",)


class LengthRatio(CompletionMetric):
    """Number of words in the answers divided by the number of words in the targets; 1 is ideal."""

    metric_ids = ("length_ratio",)


class Distinct(CompletionMetric):
    """Share of words, and of word pairs, that are distinct among every hundred answers."""

    def _compute(self, predictions: list[str], references: list[str]) -> dict[str, float]:
        return {f"distinct_{n}": distinct_ratio(predictions, n).value for n in (1, 2)}
