"""Decoding: settings, the loop that replaces `generate`, and draws from a nucleus."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from src.completion.decoding import GREEDY, Decoding, PromptBatch, continue_rows
from src.completion.sampling import draw_from_nucleus, most_probable, sampler
from src.completion.step import read_prompts

PREFIXES = ["the weather today is so", "good morning", "i am", "we never want to go to the beach", "finally"]


def allow_all(logits, new_ids, prompt_index):
    return logits


def continuations(model, tokenizer, token_ids, k, choose, max_new_tokens, logits_processor=allow_all):
    padded = tokenizer.pad({"input_ids": token_ids}, padding_side="left", return_tensors="pt")
    batch = PromptBatch(
        **padded, logits_processor=logits_processor, max_new_tokens=max_new_tokens, eos_id=tokenizer.eos_token_id
    )
    return continue_rows(model, batch, k, choose, read_prompts(model, **padded))


# Settings


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"method": "best"}, "method is 'best': choose one of"),
        ({"method": "mbr", "utility": "bleu"}, "utility is 'bleu': choose one of"),
        ({"method": "beam", "num_beams": 0}, "num_beams is 0: beam needs at least 1"),
        ({"method": "nucleus", "num_samples": 0}, "num_samples is 0: nucleus needs at least 1"),
        ({"method": "mbr", "num_samples": 1}, "num_samples is 1: mbr needs at least 2"),
        ({"method": "nucleus", "temperature": 0.0}, "temperature is 0.0: choose a number above 0"),
        ({"method": "nucleus", "temperature": -1.0}, "temperature is -1.0: choose a number above 0"),
        ({"method": "nucleus", "temperature": float("nan")}, "temperature is nan: choose a number above 0"),
        ({"method": "nucleus", "top_p": 0.0}, "top_p is 0.0: choose a number above 0 and at most 1"),
        ({"method": "mbr", "top_p": 1.1}, "top_p is 1.1: choose a number above 0 and at most 1"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Decoding(**settings)


def test_methods_have_their_defaults():
    assert (Decoding("nucleus").num_samples, Decoding("nucleus").top_p) == (1, 0.9)
    assert (Decoding("mbr").num_samples, Decoding("mbr").top_p) == (16, 1)
    assert Decoding("greedy") == GREEDY
    assert replace(Decoding("mbr", num_samples=8), temperature=0.5) == Decoding("mbr", num_samples=8, temperature=0.5)


def test_a_name_states_every_setting_of_its_method():
    assert str(GREEDY) == str(Decoding("greedy", num_beams=9, top_p=0.5)) == "greedy"
    assert str(Decoding("beam", num_beams=5)) == "beam 5"
    assert str(Decoding("nucleus", top_p=0.95)) == "nucleus 1, T=1, top-p=0.95"
    assert str(Decoding("mbr", temperature=0.7)) == "mbr 16, T=0.7, top-p=1, rouge1"
    grid = itertools.product(["nucleus", "mbr"], [8, 16], [0.7, 1.0], [0.9, 1.0], ["rouge1", "rouge1+rouge2"])
    names = [str(Decoding(method, 4, *settings)) for method, *settings in grid]
    assert len(set(names)) == 8 + 16


# Tokens


@torch.no_grad()
def test_greedy_continuations_equal_those_of_generate(tiny_lstm, tokenizer):
    prefix_ids = tokenizer(PREFIXES, add_special_tokens=False)["input_ids"]
    for ids, (continuation,) in zip(prefix_ids, continuations(tiny_lstm, tokenizer, prefix_ids, 1, most_probable, 9)):
        expected = tiny_lstm.generate(torch.tensor([ids]), max_new_tokens=9)[0, len(ids) :].tolist()
        assert continuation.token_ids == expected


@torch.no_grad()
def test_a_prompt_is_read_once_and_ended_rows_are_dropped(tiny_lstm, tokenizer, monkeypatch):
    prefix_ids = tokenizer(PREFIXES, add_special_tokens=False)["input_ids"]
    forward, fed = tiny_lstm.forward, []

    def spy(input_ids, **kwargs):
        fed.append(input_ids)
        return forward(input_ids, **kwargs)

    monkeypatch.setattr(tiny_lstm, "forward", spy)
    monkeypatch.setitem(tiny_lstm.lm_head._parameters, "bias", tiny_lstm.lm_head.bias.clone())
    tiny_lstm.lm_head.bias[tokenizer.eos_token_id] += 4
    torch.manual_seed(0)
    found = continuations(tiny_lstm, tokenizer, prefix_ids, 16, sampler(1.0, 1.0, None), 20)
    lengths = np.array([len(one.token_ids) for group in found for one in group])
    assert len(set(lengths.tolist())) > 3
    assert fed[0].shape == (5, max(map(len, prefix_ids)))
    assert [len(ids) for ids in fed[1:]] == [int((lengths > step).sum()) for step in range(1, lengths.max())]
    assert all(tokenizer.eos_token_id not in ids for ids in fed[1:])


@torch.no_grad()
def test_at_a_temperature_near_zero_a_sample_is_the_most_probable_token():
    scores = torch.tensor([[10.0, 30.0, 20.0, -torch.inf]])
    assert sampler(1e-38, 1.0, None)(scores, 5).tolist() == [[1] * 5]


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_samples_occur_in_proportion_to_their_probability(tiny_lstm, tokenizer, temperature):
    prefix_ids = tokenizer(["good morning"], add_special_tokens=False)["input_ids"]
    torch.manual_seed(0)
    scores = torch.linspace(-6, 3, len(tokenizer))
    choose = sampler(temperature, 1.0, None)
    (group,) = continuations(tiny_lstm, tokenizer, prefix_ids, 250, choose, 1, lambda *_: scores[None])
    counts = np.bincount([one.token_ids[0] for one in group], minlength=len(tokenizer))
    expected = 250 * (scores / temperature).softmax(dim=0).numpy()
    assert expected.max() > 5
    assert (np.abs(counts - expected) < 4 * np.sqrt(expected) + 2).all()
    log_probabilities = scores.log_softmax(dim=0)
    assert all(abs(one.confidence - log_probabilities[one.token_ids[0]]) < 1e-4 for one in group)


@given(
    weights=st.lists(st.integers(0, 50), min_size=2, max_size=12).filter(any),
    top_p=st.sampled_from([0.05, 0.3, 0.5, 0.83, 0.97, 1.0]),
)
def test_draws_come_from_the_nucleus_in_proportion_to_their_probability(weights, top_p):
    probabilities = np.array(weights) / sum(weights)
    above = np.array([probabilities[probabilities > p].sum() for p in probabilities])
    # If a sum of probabilities equals top_p, rounding decides.
    if np.isclose(above, top_p).any():
        return
    nucleus = np.where((above < top_p) & (probabilities > 0), probabilities, 0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        drawn = draw_from_nucleus(torch.tensor(probabilities, dtype=torch.float32).expand(2000, -1), top_p)
    counts = np.bincount(drawn, minlength=len(weights))
    expected = 2000 * nucleus / nucleus.sum()
    assert (counts[nucleus == 0] == 0).all()
    assert (np.abs(counts - expected) < 5 * np.sqrt(expected) + 1).all()


def test_a_last_token_with_no_probability_is_never_drawn(monkeypatch):
    probabilities = torch.tensor([[0.5, 0.5, 0.0]])
    points = iter([torch.ones(1, 1), torch.full((1, 1), 0.75)])
    monkeypatch.setattr(torch, "rand", lambda *_, **__: next(points))
    assert draw_from_nucleus(probabilities, 1.0).tolist() == [1]
