"""Tweet completions from any causal language model of transformers that keeps `past_key_values`, or a `state`."""

from collections.abc import Iterator, Sequence
from itertools import groupby

import torch
from tqdm import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from src.completion.decoding import GREEDY, Decoding, decode
from src.completion.minimum_bayes_risk import mean_utilities
from src.completion.prefix_memory import PrefixMemory
from src.completion.word_constraint import NewWord, word_starts
from src.corpus.tokenization import encode
from src.text.cleaning import clean_string
from src.text.prefixes import MAX_NEW_TOKENS, Completion, split_prefix


@torch.inference_mode()
def complete(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prefixes: Sequence[str],
    n: int = 1,
    decoding: Decoding = GREEDY,
    half_typed: bool = False,
    max_new_tokens: int = MAX_NEW_TOKENS,
    batch_size: int = 64,
    memory: PrefixMemory | None = None,
) -> list[list[Completion]]:
    """Complete prefixes with new words, in n different ways each.

    A suggestion has at least one word and ends where the model ends it, or after
    `max_new_tokens` tokens. Prefixes are cleaned like the training texts. "greedy" begins with
    the n most probable first tokens and goes on greedily from each, so that its first suggestion
    is that of n = 1; "beam" has at least n beams; "nucleus" draws at least 2 n samples if n > 1.
    Where these have fewer than n different texts, those of a wider beam search follow.

    Samples depend on the seed, the batch size and the other prefixes. No decoding touches the
    global random state.

    Args:
        model, tokenizer: an LSTM of `load_lstm_lm`, a transformer of `load_pretrained`, ...
        prefixes: beginnings of tweets; of one longer than the model can read, its end is read.
        n: suggestions for each prefix.
        half_typed: the last word of a prefix is still being typed, unless a space follows. The
            model reads the words before it, and suggestions begin with a word that begins with
            its letters (token healing); as many tokens as these have letters may spell it.
        batch_size: prefixes decoded together; fewer where each has many continuations.
        memory: of one text that is being typed, kept from call to call: what the model has read of it
            is not read again.

    Returns:
        n completions for each prefix, best first: "greedy" by the probability of the first token,
        "beam" and "nucleus" by confidence, "mbr" by utility. Fewer only where the widest search
        finds no other, as where every way to spell a half-typed word in capitals has a beam.

    Raises:
        ValueError: a prefix has no letters or digits, or only a half-typed word; n or `max_new_tokens` isn't
            positive, or n is more than the samples of "mbr"; there is a memory but not one prefix, or it is
            another model's; the model is in training mode or has too few positions.
    """
    if n < 1:
        raise ValueError(f"n is {n}: ask for at least one suggestion")
    if max_new_tokens < 1:
        raise ValueError(f"max_new_tokens is {max_new_tokens}: a suggestion has at least one token")
    if decoding.method == "mbr" and decoding.num_samples < n:
        raise ValueError(f"num_samples is {decoding.num_samples}: mbr can't choose {n} suggestions among them")
    if memory is not None and len(prefixes) != 1:
        raise ValueError(f"memory is of one text, but there are {len(prefixes)} prefixes: give one at a time")
    if memory is not None and memory.model is not model:
        raise ValueError("memory is of another model: make one for each")
    if model.training:
        raise ValueError("the model is in training mode, where dropout changes what it says: call model.eval() before")
    split = [split_prefix(prefix, i, half_typed) for i, prefix in enumerate(prefixes)]
    prefix_ids = encode(tokenizer, [words for words, _ in split])
    typed = [letters for _, letters in split]
    max_tokens = [max(max_new_tokens, len(letters) + 1) if letters else max_new_tokens for letters in typed]
    # Where positions are numbered, there are only so many.
    if room := getattr(model.config, "max_position_embeddings", None):
        if max(max_tokens, default=0) >= room:
            raise ValueError(f"max_new_tokens is {max(max_tokens)}: the model has {room} positions, give it fewer")
        prefix_ids = [ids[-max(1, room - new) :] for ids, new in zip(prefix_ids, max_tokens)]
    order = sorted(range(len(prefixes)), key=lambda i: (max_tokens[i], len(prefix_ids[i])))
    groups = [list(group) for _, group in groupby(order, key=max_tokens.__getitem__)]
    size = max(1, min(batch_size, 4 * batch_size // _num_continuations(decoding, n)))
    batches = [group[start : start + size] for group in groups for start in range(0, len(group), size)]
    completions: list[list[Completion]] = [[] for _ in prefixes]
    generator = torch.Generator(model.device).manual_seed(decoding.seed)
    for batch in tqdm(batches, "completing", leave=False, position=0, mininterval=1, disable=len(batches) < 2):
        ids, letters = [prefix_ids[i] for i in batch], [typed[i] for i in batch]
        limit = max_tokens[batch[0]]
        found = _complete_batch(model, tokenizer, ids, letters, n, decoding, limit, generator, memory)
        for i, suggestions in zip(batch, found):
            completions[i] = suggestions
    return completions


def best_answers(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prefixes: Sequence[str], decoding: Decoding = GREEDY
) -> list[str]:
    """The text of the one best completion of each prefix."""
    return [completions[0].text for completions in complete(model, tokenizer, prefixes, decoding=decoding)]


def _complete_batch(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prefix_ids: list[list[int]],
    typed: list[str],
    n: int,
    decoding: Decoding,
    max_new_tokens: int,
    generator: torch.Generator,
    memory: PrefixMemory | None,
) -> list[list[Completion]]:
    starts = word_starts(tokenizer, model.config.vocab_size)
    found: list[dict[str, Completion]] = [{} for _ in prefix_ids]
    for attempt, k in _attempts(decoding, n):
        lacking = [i for i, suggestions in enumerate(found) if len(suggestions) < n]
        if not lacking:
            break
        narrow = NewWord(starts, [typed[i] for i in lacking])
        ids = [prefix_ids[i] for i in lacking]
        groups = decode(model, tokenizer, ids, attempt, k, narrow, max_new_tokens, generator, memory)
        for i, group in zip(lacking, groups):
            texts = tokenizer.batch_decode([one.token_ids for one in group], skip_special_tokens=True)
            completions = [Completion(clean_string(text), one.confidence) for text, one in zip(texts, group)]
            for completion in _ranked(completions, attempt):
                if completion.text:
                    found[i].setdefault(completion.text, completion)
    chosen = [list(suggestions.values())[:n] for suggestions in found]
    if decoding.method in ("beam", "nucleus"):
        return [sorted(suggestions, key=lambda suggestion: -suggestion.confidence) for suggestions in chosen]
    return chosen


def _num_continuations(decoding: Decoding, n: int) -> int:
    """Of each prefix, to find n suggestions among."""
    if decoding.method == "nucleus" and n > 1:
        return max(decoding.num_samples, 2 * n)
    return {"greedy": n, "beam": max(decoding.num_beams, n)}.get(decoding.method, decoding.num_samples)


def _attempts(decoding: Decoding, n: int) -> Iterator[tuple[Decoding, int]]:
    """Decodings to try in turn, with their numbers of continuations, until there are n different texts."""
    yield decoding, _num_continuations(decoding, n)
    if decoding.method == "greedy":
        yield decoding, 4 * n
    for width in (2 * n, 8 * n):
        yield Decoding("beam"), width


def _ranked(completions: list[Completion], decoding: Decoding) -> list[Completion]:
    """Best first, by what the decoding goes by; equal ones by confidence."""
    if decoding.method == "greedy":
        return completions
    utilities = [0.0] * len(completions)
    if decoding.method == "mbr":
        # Without rounding, two sums of the same numbers may differ.
        utilities = mean_utilities([completion.text for completion in completions], decoding.utility).round(9)
    order = sorted(range(len(completions)), key=lambda i: (-utilities[i], -completions[i].confidence))
    return [completions[i] for i in order]
