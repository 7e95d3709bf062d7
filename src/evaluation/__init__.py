"""Evaluation: the systems to compare, their metrics with confidence intervals, and choices on validation data."""

from src.evaluation.endpoints import JUNK_WORDS, chosen_tests, endpoint_tests, junk_tests
from src.evaluation.errors import count_errors, error_examples
from src.evaluation.evaluate import Evaluation, evaluate, evaluation_texts
from src.evaluation.groups import group_texts, scores_by_group, strata_record
from src.evaluation.intervals import Estimate, as_record
from src.evaluation.latency import suggestion_seconds
from src.evaluation.leakage import near_duplicates, verbatim_share
from src.evaluation.learning_curve import minutes_curve
from src.evaluation.memorisation import recited_by_prefix, recited_shares
from src.evaluation.metrics import METRICS, Metric, bits_per_character, perplexity_per_word
from src.evaluation.reliability import expected_calibration_error, reliability_table
from src.evaluation.selection import (
    DECODINGS,
    NUM_VAL_TWEETS,
    choose_calibration,
    choose_decoding,
    choose_order,
    choose_weight,
    decoding_evaluations,
    decoding_record,
    sample_size,
    validation_texts,
)
from src.evaluation.systems import ConstantAnswer, ModelSystem, OnnxSystem, as_pairs, target_likelihood
from src.evaluation.typing import record_suggestions, type_texts, typing_difference, typing_record, typing_summary
from src.evaluation.word_list import WordList

__all__ = [
    "DECODINGS",
    "JUNK_WORDS",
    "METRICS",
    "NUM_VAL_TWEETS",
    "ConstantAnswer",
    "Estimate",
    "Evaluation",
    "Metric",
    "ModelSystem",
    "OnnxSystem",
    "WordList",
    "as_pairs",
    "as_record",
    "bits_per_character",
    "choose_calibration",
    "choose_decoding",
    "choose_order",
    "choose_weight",
    "chosen_tests",
    "count_errors",
    "decoding_evaluations",
    "decoding_record",
    "endpoint_tests",
    "error_examples",
    "evaluate",
    "evaluation_texts",
    "expected_calibration_error",
    "group_texts",
    "junk_tests",
    "minutes_curve",
    "near_duplicates",
    "perplexity_per_word",
    "recited_by_prefix",
    "recited_shares",
    "record_suggestions",
    "reliability_table",
    "sample_size",
    "scores_by_group",
    "strata_record",
    "suggestion_seconds",
    "target_likelihood",
    "type_texts",
    "typing_difference",
    "typing_record",
    "typing_summary",
    "validation_texts",
    "verbatim_share",
]
