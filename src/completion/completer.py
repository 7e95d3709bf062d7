"""Tweet completions from any `transformers` causal language model that keeps `past_key_values` or a `state`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby

import torch
from tqdm import tqdm
from transformers import BatchEncoding, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import ModelOutput

from src.completion.decoding import (
    GREEDY,
    WORDS,
    Continuation,
    Decoding,
    Method,
    PromptBatch,
    beam_search,
    continue_rows,
    token_choice,
)
from src.completion.minimum_bayes_risk import mean_utilities
from src.completion.prefix_memory import PrefixMemory
from src.completion.sampling import Choose
from src.completion.step import RowReader, read_prompts
from src.completion.word_constraint import WordConstraint, word_starts
from src.corpus.tokenization import encode
from src.text.calibration import IDENTITY, Calibration
from src.text.cleaning import clean_string
from src.text.prefixes import MAX_NEW_TOKENS, Completion, check_request, split_prefix, token_limit
from src.text.word_search import WordSearch

# Number of prompts decoded together; fewer if each has many continuations.
BATCH_SIZE = 64


@dataclass(frozen=True)
class Prompt:
    """What the model reads of a prefix, and what constrains its continuations.

    Attributes:
        token_ids: ids of the complete words.
        typed: letters of the half-typed word after them, or "".
        max_new_tokens: maximum number of tokens in a continuation.
        is_empty: there are no complete words, so the continuation begins a text.
    """

    token_ids: list[int]
    typed: str
    max_new_tokens: int
    is_empty: bool


class Completer:
    """A language model that completes tweets: a `src.text.prefixes.TweetCompleter`.

    "words" gives the n most probable next words, each with its continuation. "greedy" begins with the n most
    probable first tokens and continues greedily from each, so the first suggestion is the same for every n.
    "beam" has at least n beams. "nucleus" draws at least 2 n samples if n > 1. If one of the last three gives fewer
    than n different texts, wider searches add more.

    Samples depend on the seed, `BATCH_SIZE` and the other prefixes of a call. No decoding touches the
    global random state.

    Args:
        model: an LSTM from `load_lstm_lm`, a transformer from `load_pretrained`, ..., in evaluation mode.
        tokenizer: the model's tokenizer, WordPiece or byte-level BPE, with a pad token.
        decoding: how suggestions are found.
        memory: keeps what the model has read of one text that is being typed.
        calibration: that of the run, from `src.text.calibration.load_calibration`; "words" applies it.

    Raises:
        ValueError: the memory belongs to another model.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        decoding: Decoding = WORDS,
        memory: PrefixMemory | None = None,
        *,
        calibration: Calibration = IDENTITY,
    ):
        if memory is not None and memory.model is not model:
            raise ValueError("the memory belongs to another model: make one for each model")
        self.model, self.tokenizer, self.decoding, self.memory = model, tokenizer, decoding, memory
        self.calibration = calibration
        self.word_starts = word_starts(tokenizer, model.config.vocab_size)
        self.word_search = WordSearch(self.word_starts, tokenizer.eos_token_id)
        self.bos_ids = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]

    @property
    def completes_first_words(self) -> bool:
        return bool(self.bos_ids)

    @torch.inference_mode()
    def complete(
        self, prefixes: Sequence[str], n: int = 1, half_typed: bool = False, max_new_tokens: int = MAX_NEW_TOKENS
    ) -> list[list[Completion]]:
        """Complete each prefix with new words, in n different ways, as `TweetCompleter` says.

        If a prefix is longer than the model can read, only its end is read.

        Returns:
            n completions for each prefix, best first: "words" by the probability of the next word, "greedy" by the
            probability of the first token, "beam" and "nucleus" by confidence, "mbr" by utility. There are fewer only
            if the widest search finds no others, e.g. because spellings of a half-typed word that differ only in
            capitals fill all beams.

        Raises:
            TypeError: `prefixes` is one text instead of a list.
            ValueError: n or `max_new_tokens` is less than 1; n is more than the samples of "mbr"; there is a memory
                and not exactly one prefix; the model is in training mode or has too few positions.
            PrefixError: as from `src.text.prefixes.split_prefix`.
        """
        check_request(prefixes, n, max_new_tokens)
        self._check(prefixes, n)
        prompts = self._prompts(prefixes, half_typed, max_new_tokens)
        batch_size = max(1, min(BATCH_SIZE, 4 * BATCH_SIZE // self.decoding.num_continuations(n)))
        batches = similar_batches(prompts, batch_size)
        choose = token_choice(self.decoding, self.model.device)
        min_probability = self.decoding.min_probability if half_typed else 0.0
        completions: list[list[Completion]] = [[] for _ in prompts]
        for batch in tqdm(batches, "completing", leave=False, position=0, mininterval=1, delay=1):
            batch_prompts = [prompts[i] for i in batch]
            if self.decoding.method == "words":
                found = self._suggest_words(batch_prompts, n, min_probability)
            else:
                found = self._complete_batch(batch_prompts, n, choose)
            for i, suggestions in zip(batch, found):
                completions[i] = suggestions
        return completions

    def _check(self, prefixes: Sequence[str], n: int) -> None:
        num_samples = self.decoding.num_samples
        if self.decoding.method == "mbr" and num_samples < n:
            raise ValueError(f"num_samples is {num_samples}: mbr can't choose {n} suggestions among so few")
        if self.memory is not None and len(prefixes) != 1:
            raise ValueError(f"a memory belongs to one text: give one prefix at a time, not {len(prefixes)}")
        if self.model.training:
            raise ValueError("the model is in training mode, which applies dropout: call model.eval() first")

    def _prompts(self, prefixes: Sequence[str], half_typed: bool, max_new_tokens: int) -> list[Prompt]:
        split = [split_prefix(prefix, i, half_typed, self.completes_first_words) for i, prefix in enumerate(prefixes)]
        token_ids = [self.bos_ids + ids for ids in encode(self.tokenizer, [words for words, _ in split])]
        prompts = [
            Prompt(ids, typed, token_limit(max_new_tokens, typed), is_empty=not words)
            for ids, (words, typed) in zip(token_ids, split)
        ]
        num_positions = getattr(self.model.config, "max_position_embeddings", None)
        if num_positions is None:
            return prompts
        limit = max((prompt.max_new_tokens for prompt in prompts), default=0)
        if limit >= num_positions:
            raise ValueError(f"max_new_tokens is {limit}: the model has {num_positions} positions, give it fewer")
        return [
            replace(prompt, token_ids=prompt.token_ids[prompt.max_new_tokens - num_positions :]) for prompt in prompts
        ]

    def _complete_batch(self, prompts: list[Prompt], n: int, choose: Choose) -> list[list[Completion]]:
        found: list[dict[str, Completion]] = [{} for _ in prompts]
        for method, k in self._attempts(n):
            lacking = [i for i, suggestions in enumerate(found) if len(suggestions) < n]
            if not lacking:
                break
            groups = self._decode([prompts[i] for i in lacking], method, k, choose)
            for i, group in zip(lacking, groups):
                for completion in self._ranked(group, method):
                    if completion.text:
                        found[i].setdefault(completion.text, completion)
        chosen = [list(suggestions.values())[:n] for suggestions in found]
        if self.decoding.method in ("beam", "nucleus"):
            return [sorted(suggestions, key=lambda suggestion: -suggestion.confidence) for suggestions in chosen]
        return chosen

    def _attempts(self, n: int) -> Iterator[tuple[Method, int]]:
        """Yield the methods to try until there are n different texts, with their numbers of continuations."""
        yield self.decoding.method, self.decoding.num_continuations(n)
        if self.decoding.method == "greedy":
            yield "greedy", 4 * n
        yield "beam", 2 * n
        yield "beam", 8 * n

    def _decode(self, prompts: list[Prompt], method: Method, k: int, choose: Choose) -> list[list[Continuation]]:
        """Return at most k continuations of each prompt; all prompts have the same `max_new_tokens`."""
        padded = self._pad(prompts)
        batch = PromptBatch(
            **padded,
            logits_processor=WordConstraint(self.word_starts, *typed_words(prompts)),
            max_new_tokens=prompts[0].max_new_tokens,
            eos_id=self.tokenizer.eos_token_id,
        )
        k = min(k, self.model.config.vocab_size)
        if method == "beam":
            return beam_search(self.model, batch, k)
        return continue_rows(self.model, batch, k, choose, self._read(padded))

    def _suggest_words(self, prompts: list[Prompt], n: int, min_probability: float) -> list[list[Completion]]:
        padded = self._pad(prompts)
        reader = RowReader(self.model, **padded, outputs=self._read(padded))
        typed, at_text_start = typed_words(prompts)
        limits = n, prompts[0].max_new_tokens, min_probability
        found = self.word_search.suggest(reader, typed, *limits, at_text_start)
        decode = partial(self.tokenizer.decode, skip_special_tokens=True)
        return [[one.completion(decode, self.calibration) for one in suggestions] for suggestions in found]

    def _pad(self, prompts: list[Prompt]) -> BatchEncoding:
        token_ids = {"input_ids": [prompt.token_ids for prompt in prompts]}
        return self.tokenizer.pad(token_ids, padding_side="left", return_tensors="pt").to(self.model.device)

    def _read(self, padded: BatchEncoding) -> ModelOutput:
        """Return the model's outputs after the prompts."""
        return read_prompts(self.model, **padded) if self.memory is None else self.memory.read(**padded)

    def _ranked(self, continuations: list[Continuation], method: Method) -> list[Completion]:
        """Return the completions, best first by the criterion of the method, then by confidence."""
        token_ids = [continuation.token_ids for continuation in continuations]
        texts = map(clean_string, self.tokenizer.batch_decode(token_ids, skip_special_tokens=True))
        completions = [Completion(text, one.confidence) for text, one in zip(texts, continuations)]
        if method == "greedy":
            return completions
        utilities = [0.0] * len(completions)
        if method == "mbr":
            # Rounding makes utilities equal that differ only by the order of summation.
            utilities = mean_utilities([one.text for one in completions], self.decoding.utility).round(9)
        order = sorted(range(len(completions)), key=lambda i: (-utilities[i], -completions[i].confidence))
        return [completions[i] for i in order]


def complete(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prefixes: Sequence[str],
    n: int = 1,
    decoding: Decoding = WORDS,
    half_typed: bool = False,
    max_new_tokens: int = MAX_NEW_TOKENS,
    memory: PrefixMemory | None = None,
) -> list[list[Completion]]:
    """Complete prefixes in one call; `Completer` explains the arguments."""
    return Completer(model, tokenizer, decoding, memory).complete(prefixes, n, half_typed, max_new_tokens)


def best_answers(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prefixes: Sequence[str], decoding: Decoding = GREEDY
) -> list[str]:
    """Return the text of the best completion of each prefix."""
    return [suggestions[0].text for suggestions in complete(model, tokenizer, prefixes, decoding=decoding)]


def typed_words(prompts: Sequence[Prompt]) -> tuple[list[str], set[int]]:
    """The letters of each prompt's half-typed word, and the indices of the prompts whose next word begins a text."""
    return [prompt.typed for prompt in prompts], {i for i, prompt in enumerate(prompts) if prompt.is_empty}


def similar_batches(prompts: Sequence[Prompt], batch_size: int) -> list[list[int]]:
    """Return batches of indices of prompts with the same `max_new_tokens` and of similar length."""
    order = sorted(range(len(prompts)), key=lambda i: (prompts[i].max_new_tokens, len(prompts[i].token_ids)))
    groups = [list(group) for _, group in groupby(order, key=lambda i: prompts[i].max_new_tokens)]
    return [group[start : start + batch_size] for group in groups for start in range(0, len(group), batch_size)]
