"""The small transformer: its size, its cache, padded batches, learning, and saving and loading as a run."""

import pytest
import torch

from src.completion.completer import Completer
from src.completion.decoding import GREEDY, WORDS
from src.completion.prefix_memory import PrefixMemory
from src.evaluation.systems import ModelSystem, target_likelihood
from src.models.pretrained import load_pretrained, save_pretrained_lm
from src.models.small_transformer import new_small_transformer
from src.recipe import token_datasets
from src.runs import run_metadata
from src.training.train import TrainingSettings, train

PREFIXES = ("i am going to the", "so happy", "the rain in the park and the")


@pytest.fixture(scope="module")
def model(tokenizer):
    return new_small_transformer(tokenizer, seed=0).eval()


def test_a_vocabulary_of_12_000_gives_the_size_of_the_lstm():
    class Tokenizer:
        pad_token_id, bos_token_id, eos_token_id = 0, 2, 2

        def __len__(self):
            return 12_000

    model = new_small_transformer(Tokenizer(), seed=0)
    assert 5_000_000 < model.num_parameters() < 6_000_000
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert (model.config.pad_token_id, model.config.bos_token_id, model.config.eos_token_id) == (0, 2, 2)


def test_the_seed_decides_on_the_weights(model, tokenizer):
    same, other = (new_small_transformer(tokenizer, seed).lm_head.weight for seed in (0, 1))
    assert torch.equal(model.lm_head.weight, same) and not torch.equal(model.lm_head.weight, other)


@torch.no_grad()
def test_a_text_in_a_padded_batch_gets_the_logits_that_it_gets_alone(model, tokenizer):
    padded = tokenizer(list(PREFIXES), padding=True, return_tensors="pt")
    positions = (padded["attention_mask"].cumsum(dim=1) - 1).clamp(min=0)
    together = model(**padded, position_ids=positions).logits[:, -1]
    alone = [model(**tokenizer(prefix, return_tensors="pt")).logits[0, -1] for prefix in PREFIXES]
    torch.testing.assert_close(together, torch.stack(alone), rtol=1e-4, atol=1e-5)


def test_a_text_has_the_same_likelihood_alone_and_in_a_batch(model, tokenizer, cleaned_texts):
    texts = [text for text in cleaned_texts if " " in text][:20]
    together = target_likelihood(model, tokenizer, texts)["nll"]
    alone = [target_likelihood(model, tokenizer, [text])["nll"].item() for text in texts]
    assert together.tolist() == pytest.approx(alone, rel=1e-4)


@torch.no_grad()
def test_token_by_token_with_the_cache_equals_the_complete_text(model, tokenizer):
    ids = tokenizer(PREFIXES[2], return_tensors="pt")["input_ids"]
    complete = model(ids).logits
    cache, steps = None, []
    for i in range(ids.shape[1]):
        output = model(ids[:, i : i + 1], past_key_values=cache, use_cache=True)
        cache = output.past_key_values
        steps.append(output.logits)
    torch.testing.assert_close(torch.cat(steps, dim=1), complete, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("decoding", [GREEDY, WORDS])
def test_a_batch_and_a_memory_complete_as_one_prefix_alone_does(model, tokenizer, decoding):
    together = Completer(model, tokenizer, decoding).complete(PREFIXES, n=3)
    remembering = Completer(model, tokenizer, decoding, PrefixMemory(model))
    for prefix, suggestions in zip(PREFIXES, together):
        # The memory reads each prefix word by word, as a person types it.
        words = prefix.split(" ")
        for i in range(1, len(words) + 1):
            [remembered] = remembering.complete([" ".join(words[:i])], n=3)
        assert [one.text for one in remembered] == [one.text for one in suggestions]
    assert all(len(suggestions) == 3 for suggestions in together)


def test_it_learns_a_toy_corpus_and_a_saved_run_answers_as_it_did(tmp_path, tokenizer, cleaned_texts):
    model = new_small_transformer(tokenizer, seed=0)
    texts = [text for text in cleaned_texts if " " in text]
    datasets = token_datasets(tokenizer, texts, texts)
    settings = TrainingSettings(
        learning_rate=2e-3, batch_size=16, max_epochs=12, eval_steps=0.25, num_sampled_tokens=100, bf16=False
    )
    result = train(model, *datasets, settings, tmp_path / "checkpoints", tokenizer.pad_token_id)
    losses = [row["val_loss"] for row in result.history]
    assert losses[-1] < losses[0] - 0.5 and losses == sorted(losses, reverse=True)

    (tmp_path / "run").mkdir()
    data = {"name": "toy", "source": "tests", "split_seed": 0, "sha256": "0", "counts": {"train": len(texts)}}
    meta = run_metadata("small_transformer", {}, data, {}, result.duration)
    save_pretrained_lm(tmp_path / "run", model, tokenizer, meta, result.history)
    loaded = load_pretrained(tmp_path / "run", device="cpu")
    assert loaded.name == "small_transformer"
    assert loaded.tokenizer.get_vocab() == tokenizer.get_vocab()
    assert loaded.tokenizer.bos_token_id == loaded.tokenizer.eos_token_id == tokenizer.eos_token_id
    assert loaded.tokenizer.pad_token_id == tokenizer.pad_token_id
    before, after = (ModelSystem("it", *one) for one in ((model, tokenizer), (loaded.model, loaded.tokenizer)))
    assert after.likelihood(texts)["nll"].tolist() == pytest.approx(before.likelihood(texts)["nll"].tolist(), rel=1e-4)
    assert [one.text for one in after.complete(PREFIXES)] == [one.text for one in before.complete(PREFIXES)]
    assert after.next_words(PREFIXES) == before.next_words(PREFIXES)
