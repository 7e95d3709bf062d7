"""Bits per character after minutes of training, against those of the evaluation."""

import pytest

from src.evaluation.learning_curve import minutes_curve
from src.evaluation.metrics import bits_per_character
from src.evaluation.systems import target_likelihood
from src.files import write_json
from src.next_token_dataset import NextTokenDataset
from src.training.loss import dataset_nll


def test_the_loss_of_a_run_becomes_the_bits_per_character_of_its_evaluation(
    tmp_path, tiny_lstm, tokenizer, cleaned_texts
):
    texts = [text for text in cleaned_texts if " " in text]
    dataset = NextTokenDataset(
        texts, tokenizer, tokenizer.eos_token_id, context_unit="words", bos_id=tokenizer.bos_token_id
    )
    nll, num_targets = dataset_nll(tiny_lstm, dataset, 16, tokenizer.pad_token_id)
    loss = nll.sum() / num_targets.sum()
    write_json(tmp_path / "history.json", [{"seconds": 30, "val_loss": 2 * loss}, {"seconds": 90, "val_loss": loss}])
    curve = minutes_curve(tmp_path, texts, tokenizer)
    expected = bits_per_character(target_likelihood(tiny_lstm, tokenizer, texts)).value
    assert curve["minutes"].tolist() == [0.5, 1.5]
    assert curve["value"].tolist() == pytest.approx([2 * expected, expected])
