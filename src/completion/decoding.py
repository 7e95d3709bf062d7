"""Ways to decode: their settings and the loop behind them.

Greedy decoding and sampling run a loop of their own, which reads a prefix once for all of its
continuations and drops rows that ended. Beam search is that of transformers' `generate`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, isfinite
from typing import Literal, get_args

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import ModelOutput

from src.completion.prefix_memory import PrefixMemory
from src.completion.sampling import Choose, most_probable, sampler
from src.completion.step import read, reading_kwargs, take_rows

Method = Literal["greedy", "beam", "nucleus", "mbr"]
Utility = Literal["rouge1", "rouge1+rouge2"]
# Of methods that differ from the rest.
NUM_SAMPLES = {"mbr": 16}
TOP_P = {"nucleus": 0.9}
# From scores [rows, vocab], new ids [rows, steps] and each row's prefix [rows] to scores, -inf where a token is barred.
Narrow = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Decoding:
    """How suggestions are found. A method reads only the settings that name it.

    Attributes:
        method: "greedy" takes the most probable token at every step, "beam" keeps the most
            probable beginnings, "nucleus" samples (Holtzman et al., 2020), and "mbr" samples and
            chooses by minimum Bayes risk (Kumar and Byrne, 2004; Eikema and Aziz, 2020): the
            sample with the highest mean utility against all samples.
        num_beams: of "beam".
        num_samples: for each prefix; by default 1 for "nucleus", 16 for "mbr", which needs 2.
        temperature: of "nucleus" and "mbr"; scores are divided by it.
        top_p: of "nucleus" and "mbr"; samples come from the smallest set of tokens that has at least
            this probability. By default 0.9 for "nucleus" and 1, all tokens, for "mbr".
        utility: of "mbr"; F1 over words (ROUGE-1), or its mean with that over pairs of words (ROUGE-2).
        seed: of "nucleus" and "mbr".

    Raises:
        ValueError: a setting is out of its range.
    """

    method: Method
    num_beams: int = 4
    num_samples: int | None = None
    temperature: float = 1.0
    top_p: float | None = None
    utility: Utility = "rouge1"
    seed: int = 0

    def __post_init__(self):
        for name, choices in {"method": get_args(Method), "utility": get_args(Utility)}.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} is {getattr(self, name)!r}: choose one of {choices}")
        for name, defaults in {"num_samples": NUM_SAMPLES, "top_p": TOP_P}.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, defaults.get(self.method, 1))
        for name, least in {"num_beams": 1, "num_samples": 2 if self.method == "mbr" else 1}.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}: {self.method} needs at least {least}")
        if not 0 < self.temperature < inf:
            raise ValueError(f"temperature is {self.temperature}: choose a number above 0")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is {self.top_p}: choose a number above 0 and at most 1")

    @property
    def is_random(self) -> bool:
        return self.method in ("nucleus", "mbr")

    def __str__(self) -> str:
        """The method and every setting that it reads but the seed, e.g. "mbr 16, T=0.7, top-p=1, rouge1"."""
        sampling = f"{self.method} {self.num_samples}, T={self.temperature:g}, top-p={self.top_p:g}"
        names = {"greedy": "greedy", "beam": f"beam {self.num_beams}", "nucleus": sampling}
        return names.get(self.method, f"{sampling}, {self.utility}")


GREEDY = Decoding("greedy")


@dataclass(frozen=True)
class Continuation:
    """Token ids behind a prefix, up to and with the end, and their mean log-probability in nats."""

    token_ids: list[int]
    confidence: float


def decode(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prefix_ids: list[list[int]],
    decoding: Decoding,
    k: int,
    narrow: Narrow,
    max_new_tokens: int,
    generator: torch.Generator | None = None,
    memory: PrefixMemory | None = None,
) -> list[list[Continuation]]:
    """Continue every prefix of a batch k times.

    Greedy continuations begin with the k most probable tokens, most probable first; beams are in
    the order of their scores, samples in that of their drawing.

    Args:
        narrow: bars tokens; log-probabilities are among those that it leaves.
        generator: of samples; None draws from the global one.
        memory: of the one prefix in the batch; beam search does without.

    Returns:
        At most k continuations for each prefix; fewer where fewer have any probability.
    """
    k = min(k, model.config.vocab_size)
    padded = tokenizer.pad({"input_ids": prefix_ids}, padding_side="left", return_tensors="pt").to(model.device)
    if decoding.method == "beam":
        found = _beam_search(model, tokenizer, padded, narrow, k, max_new_tokens)
    else:
        choose = sampler(decoding.temperature, decoding.top_p, generator) if decoding.is_random else most_probable
        found = continue_rows(
            model,
            **padded,
            choose=choose,
            narrow=narrow,
            k=k,
            eos_id=tokenizer.eos_token_id,
            max_new_tokens=max_new_tokens,
            outputs=memory.read(**padded) if memory is not None else None,
        )
    groups = [found[i : i + k] for i in range(0, len(found), k)]
    return [[continuation for continuation in group if isfinite(continuation.confidence)] for group in groups]


def continue_rows(
    model: PreTrainedModel,
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor,
    choose: Choose,
    narrow: Narrow,
    k: int,
    eos_id: int,
    max_new_tokens: int,
    outputs: ModelOutput | None = None,
) -> list[Continuation]:
    """Choose k first tokens for each prefix, then one for each row, until every row has ended.

    `generate` reads a prefix once for each of its samples and feeds ended rows until the last one ends:
    several times the work where prefixes have many samples. It also prepares longer than a small model computes.

    Args:
        input_ids, attention_mask: int64 [batch, length], padded on the left.
        outputs: of the model behind the prefixes, where it has read them before.

    Returns:
        [batch * k] continuations, the k of one prefix beside each other.
    """
    prefix_length = input_ids.shape[1]
    model_kwargs = reading_kwargs(model, attention_mask)
    token_ids: list[list[int]] = [[] for _ in range(len(input_ids) * k)]
    totals = torch.zeros(len(token_ids), device=input_ids.device)
    # Of the rows that go on, among all; until the first tokens are chosen, a prefix is one row.
    places = torch.arange(0, len(token_ids), k, device=input_ids.device)
    for step in range(max_new_tokens):
        if step or outputs is None:
            outputs = read(model, input_ids, model_kwargs, next_sequence_length=1 if step else None)
        model_kwargs = model._update_model_kwargs_for_generation(outputs, model_kwargs)
        scores = narrow(outputs.logits[:, -1].float(), input_ids[:, prefix_length:], places // k)
        width = 1 if step else k
        tokens = choose(scores, width)
        log_probabilities = scores.log_softmax(dim=1).gather(1, tokens).flatten()
        tokens = tokens.flatten()
        places = places if step else torch.arange(len(token_ids), device=tokens.device)
        totals[places] += log_probabilities
        for place, token in zip(places.tolist(), tokens.tolist()):
            token_ids[place].append(token)
        live = (tokens != eos_id) & log_probabilities.isfinite()
        if not live.any():
            break
        if width > 1 or not live.all():
            parents = torch.arange(len(scores), device=tokens.device).repeat_interleave(width)[live]
            tokens, places = tokens[live], places[live]
            input_ids, model_kwargs = input_ids[parents], take_rows(model_kwargs, parents)
        input_ids = torch.cat([input_ids, tokens[:, None]], dim=1)
    return [Continuation(ids, total / len(ids)) for ids, total in zip(token_ids, totals.tolist())]


def _beam_search(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    padded: dict[str, torch.Tensor],
    narrow: Narrow,
    num_beams: int,
    max_new_tokens: int,
) -> list[Continuation]:
    prefix_length, eos_id = padded["input_ids"].shape[1], tokenizer.eos_token_id

    def narrow_beams(input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        prefixes = torch.arange(len(scores), device=scores.device) // num_beams
        return narrow(scores, input_ids[:, prefix_length:], prefixes)

    output = model.generate(
        **padded,
        max_new_tokens=max_new_tokens,
        do_sample=False,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=eos_id,
        num_beams=num_beams,
        num_return_sequences=num_beams,
        logits_processor=[narrow_beams],
        return_dict_in_generate=True,
        output_scores=True,
    )
    beam_indices = getattr(output, "beam_indices", None)
    log_probabilities = model.compute_transition_scores(
        output.sequences, output.scores, beam_indices, normalize_logits=True
    )
    found = []
    for ids, row in zip(output.sequences[:, prefix_length:].tolist(), log_probabilities):
        ids = ids[: ids.index(eos_id) + 1] if eos_id in ids else ids
        found.append(Continuation(ids, float(row[: len(ids)].mean())))
    return found
