"""Tweet completions from any causal language model of transformers."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from tqdm import tqdm
from transformers import LogitsProcessor, PreTrainedModel, PreTrainedTokenizerBase

from src.data_utils import clean_string, normalize_tweet
from src.next_token_dataset import encode

MAX_NEW_TOKENS = 20


@dataclass(frozen=True)
class Completion:
    """A suggestion.

    Attributes:
        text: cleaned words, without the prefix.
        confidence: mean log-probability of its tokens and its end, in nats, at most 0; that of
            the first token is among the tokens that begin a word.
    """

    text: str
    confidence: float


@dataclass(frozen=True)
class WordStarts:
    """Which ids can begin a word of letters or digits, in one piece or after a lone space.

    Attributes:
        first: [vocab] bool, ids that may follow a whole word.
        space_id: the piece that is a space and nothing else, which some byte-level tokenizers
            put before a digit; None where there is none.
        after_space: [vocab] bool, ids that may follow the lone space.
    """

    first: torch.Tensor
    space_id: int | None
    after_space: torch.Tensor


@lru_cache(maxsize=8)
def word_starts(tokenizer: PreTrainedTokenizerBase, vocab_size: int) -> WordStarts:
    """The ids that begin a word in WordPiece ("##" continues one) or byte-level BPE ("Ġ", a space, begins one)."""
    pieces = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    is_byte_level = any(piece.startswith("Ġ") for piece in pieces)
    if is_byte_level:
        first = [piece == "Ġ" or (piece.startswith("Ġ") and clean_string(piece[1]) != "") for piece in pieces]
    else:
        first = [not piece.startswith("##") and piece not in tokenizer.all_special_tokens for piece in pieces]
    unused = [False] * (vocab_size - len(pieces))
    return WordStarts(
        first=torch.tensor(first + unused),
        space_id=tokenizer.convert_tokens_to_ids("Ġ") if is_byte_level and "Ġ" in pieces else None,
        after_space=torch.tensor([piece[:1].isdigit() for piece in pieces] + unused),
    )


class NewWordsOnly(LogitsProcessor):
    """Lets only pieces that begin a new word follow the prefix, whose last word is whole.

    So no suggestion is empty: the end of the tweet doesn't begin a word.
    """

    def __init__(self, prefix_length: int, starts: WordStarts):
        self.prefix_length = prefix_length
        self.starts = starts

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        num_new_tokens = input_ids.shape[1] - self.prefix_length
        if num_new_tokens == 0:
            return scores.masked_fill(~self.starts.first.to(scores.device), -torch.inf)
        if num_new_tokens == 1 and self.starts.space_id is not None:
            after_space = (input_ids[:, -1] == self.starts.space_id)[:, None]
            return scores.masked_fill(after_space & ~self.starts.after_space.to(scores.device), -torch.inf)
        return scores


@torch.no_grad()
def complete(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prefixes: Sequence[str],
    n: int = 1,
    max_new_tokens: int = MAX_NEW_TOKENS,
    batch_size: int = 64,
) -> list[list[Completion]]:
    """Complete prefixes with whole new words: greedy for one suggestion, beam search for several.

    A suggestion has at least one word and ends where the model ends it, or after
    `max_new_tokens` tokens. Prefixes are cleaned like the training texts.

    Args:
        model, tokenizer: an LSTM of `load_lstm_lm`, a transformer of `load_pretrained`, ...
        prefixes: beginnings of tweets.
        n: suggestions for each prefix.

    Returns:
        n completions for each prefix, most probable first.

    Raises:
        ValueError: a prefix has no letters or digits, or n isn't positive.
    """
    if n < 1:
        raise ValueError(f"n is {n}: ask for at least one suggestion")
    cleaned = [clean_string(normalize_tweet(prefix)) for prefix in prefixes]
    if "" in cleaned:
        i = cleaned.index("")
        raise ValueError(f"prefix {i} ({prefixes[i]!r}) has no letters or digits: give at least one word")
    prefix_ids = encode(tokenizer, cleaned)
    order = np.argsort([len(ids) for ids in prefix_ids], kind="stable")
    completions: list[list[Completion]] = [[] for _ in prefixes]
    batches = range(0, len(order), batch_size)
    for start in tqdm(batches, "completing", leave=False, mininterval=1, disable=len(batches) < 2):
        chosen = order[start : start + batch_size]
        batch_completions = _complete_batch(model, tokenizer, [prefix_ids[i] for i in chosen], n, max_new_tokens)
        for i, suggestions in zip(chosen, batch_completions):
            completions[i] = suggestions
    return completions


def best_answers(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prefixes: Sequence[str]) -> list[str]:
    """The text of the one best completion of each prefix."""
    return [completions[0].text for completions in complete(model, tokenizer, prefixes)]


def _complete_batch(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prefix_ids: list[list[int]],
    n: int,
    max_new_tokens: int,
) -> list[list[Completion]]:
    padded = tokenizer.pad({"input_ids": prefix_ids}, padding_side="left", return_tensors="pt").to(model.device)
    prefix_length = padded["input_ids"].shape[1]
    output = model.generate(
        input_ids=padded["input_ids"],
        attention_mask=padded["attention_mask"],
        max_new_tokens=max_new_tokens,
        do_sample=False,
        num_beams=n,
        num_return_sequences=n,
        logits_processor=[NewWordsOnly(prefix_length, word_starts(tokenizer, model.config.vocab_size))],
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        return_dict_in_generate=True,
        output_scores=True,
    )
    new_ids = output.sequences[:, prefix_length:]
    texts = [clean_string(text) for text in tokenizer.batch_decode(new_ids, skip_special_tokens=True)]
    confidences = mean_log_probability(model, output, new_ids, tokenizer.eos_token_id).tolist()
    completions = [Completion(text, confidence) for text, confidence in zip(texts, confidences)]
    by_prefix = [completions[i : i + n] for i in range(0, len(completions), n)]
    # Beam search ranks by a score that is not renormalised after the first token's choice was narrowed.
    return [sorted(suggestions, key=lambda suggestion: -suggestion.confidence) for suggestions in by_prefix]


def mean_log_probability(model, output, new_ids: torch.Tensor, eos_id: int) -> torch.Tensor:
    """[rows] mean log-probability in nats of the generated tokens up to and with the first end."""
    log_probabilities = model.compute_transition_scores(
        output.sequences, output.scores, getattr(output, "beam_indices", None), normalize_logits=True
    )
    ended = (new_ids == eos_id).cumsum(dim=1)
    generated = (ended == 0) | ((ended == 1) & (new_ids == eos_id))
    generated = generated[:, : log_probabilities.shape[1]]
    return (log_probabilities.masked_fill(~generated, 0.0).sum(dim=1)) / generated.sum(dim=1)
