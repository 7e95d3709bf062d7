"""Tokenizers and models for the tests of this folder."""

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from src.lstm_model import LSTMLM, LSTMConfig

END = "<|endoftext|>"
KINDS = ["lstm", "gpt2"]
ALL_KINDS = [*KINDS, "smollm"]


def train_bpe(texts, digits_alone=False):
    """Train a byte-level tokenizer like GPT-2's: a space belongs to the word after it, and the end token also pads.

    With `digits_alone` it is like SmolLM2's: every digit is a token, and so is a space before a digit.
    """
    tokenizer = Tokenizer(models.BPE())
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    digits = [pre_tokenizers.Digits(individual_digits=True)] if digits_alone else []
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*digits, byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=[END], initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END, pad_token=END, padding_side="left")


def make_lstm(tokenizer, seed=0, eos_bias=0.0):
    """A model with weights so large that predictions differ clearly from token to token."""
    torch.manual_seed(seed)
    config = LSTMConfig(
        vocab_size=len(tokenizer),
        embedding_dim=16,
        hidden_dim=24,
        num_layers=2,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    model = LSTMLM(config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    with torch.no_grad():
        model.lm_head.bias[tokenizer.eos_token_id] += eos_bias
    return model


def make_gpt2(tokenizer, seed=0, eos_bias=0.0):
    torch.manual_seed(seed)
    eos_id = tokenizer.eos_token_id
    sizes = {"vocab_size": len(tokenizer), "n_positions": 64, "n_embd": 16, "n_layer": 2, "n_head": 2}
    model = GPT2LMHeadModel(GPT2Config(**sizes, initializer_range=0.4, bos_token_id=eos_id, eos_token_id=eos_id)).eval()
    with torch.no_grad():
        # The output layer has no bias, so one of its inputs becomes a constant that only the end token reads.
        model.transformer.wte.weight[:, 0] = 0.0
        model.transformer.wte.weight[eos_id, 0] = eos_bias
        model.transformer.ln_f.weight[0], model.transformer.ln_f.bias[0] = 0.0, 1.0
    return model
