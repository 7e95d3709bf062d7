"""The utilities of minimum Bayes risk decoding equal those of rouge_score."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from src.completion.minimum_bayes_risk import mean_utilities


@given(st.lists(st.lists(st.sampled_from(["a", "b", "2", "the"]), max_size=6).map(" ".join), min_size=1, max_size=6))
def test_utilities_equal_those_of_rouge_score(texts):
    scorer = RougeScorer(["rouge1", "rouge2"])
    scores = [[scorer.score(reference, text) for reference in texts] for text in texts]
    rouge1 = np.array([np.mean([score["rouge1"].fmeasure for score in row]) for row in scores])
    rouge2 = np.array([np.mean([score["rouge2"].fmeasure for score in row]) for row in scores])
    np.testing.assert_allclose(mean_utilities(texts, "rouge1"), rouge1, atol=1e-12)
    np.testing.assert_allclose(mean_utilities(texts, "rouge1+rouge2"), (rouge1 + rouge2) / 2, atol=1e-12)
