"""Decoding methods: their settings, and the searches that continue prompts.

Greedy decoding and sampling have their own loop, which reads a prompt once for all of its
continuations and drops rows that have ended. Beam search is that of transformers' `generate`.
"""

from dataclasses import dataclass
from math import inf, isfinite
from typing import Literal, Protocol, get_args

import torch
from transformers import PreTrainedModel
from transformers.utils import ModelOutput

from src.completion.sampling import Choose, most_probable, sampler
from src.completion.step import read, reading_kwargs, take_rows
from src.text.word_search import BEAMS_PER_SUGGESTION, MIN_PROBABILITY

Method = Literal["words", "greedy", "beam", "nucleus", "mbr"]
Utility = Literal["rouge1", "rouge1+rouge2"]
# Defaults of `num_samples` and `top_p` for the methods whose default is not 1.
NUM_SAMPLES = {"mbr": 16}
TOP_P = {"nucleus": 0.9}


@dataclass(frozen=True)
class Decoding:
    """How suggestions are found. A method reads only its own settings.

    Attributes:
        method: "words" suggests different next words, the most probable ones (`src.text.word_search`), and
            continues each greedily. "greedy" takes the most probable token at every step, "beam" keeps the most
            probable beginnings, "nucleus" samples (Holtzman et al., 2020), and "mbr" samples and
            chooses by minimum Bayes risk (Kumar and Byrne, 2004; Eikema and Aziz, 2020): the
            sample with the highest mean utility against all samples.
        num_beams: number of beams ("beam").
        num_samples: number of samples for each prefix ("nucleus", "mbr"); by default 1 for "nucleus" and
            16 for "mbr", which needs at least 2.
        temperature: logits are divided by it ("nucleus", "mbr").
        top_p: samples come from the smallest set of tokens that has at least this probability ("nucleus",
            "mbr"); by default 0.9 for "nucleus" and 1, all tokens, for "mbr".
        utility: F1 over words (ROUGE-1), or the mean of ROUGE-1 and F1 over pairs of words (ROUGE-2) ("mbr").
        seed: seed of the samples ("nucleus", "mbr").
        min_probability: while a text is being typed, a suggestion continues after its first word as long as its
            continuation has at least this probability ("words").

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
    min_probability: float = MIN_PROBABILITY

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
        if not 0 <= self.min_probability <= 1:
            raise ValueError(f"min_probability is {self.min_probability}: choose a number from 0 to 1")

    @property
    def is_random(self) -> bool:
        return self.method in ("nucleus", "mbr")

    def num_continuations(self, n: int) -> int:
        """Return the number of continuations of each prefix among which n suggestions are chosen."""
        if self.method == "nucleus" and n > 1:
            return max(self.num_samples, 2 * n)
        numbers = {"words": (BEAMS_PER_SUGGESTION + 1) * n, "greedy": n, "beam": max(self.num_beams, n)}
        return numbers.get(self.method, self.num_samples)

    def __str__(self) -> str:
        """Name the method and all of its settings except the seed, e.g. "mbr 16, T=0.7, top-p=1, rouge1"."""
        sampling = f"{self.method} {self.num_samples}, T={self.temperature:g}, top-p={self.top_p:g}"
        names = {"words": "words", "greedy": "greedy", "beam": f"beam {self.num_beams}", "nucleus": sampling}
        return names.get(self.method, f"{sampling}, {self.utility}")


GREEDY = Decoding("greedy")
WORDS = Decoding("words")


class LogitsProcessor(Protocol):
    """Bars tokens from coming next: transformers' processor of this name, which also knows each row's prompt."""

    def __call__(self, logits: torch.Tensor, new_ids: torch.Tensor, prompt_index: torch.Tensor) -> torch.Tensor:
        """Set the logits of barred tokens to -inf.

        Args:
            logits: float32 [rows, vocab].
            new_ids: int64 [rows, steps], the tokens that were chosen after the prompt.
            prompt_index: int64 [rows], the index in the batch of the prompt that each row continues.

        Returns:
            float32 [rows, vocab].
        """
        ...


@dataclass(frozen=True, eq=False)
class PromptBatch:
    """Prompts that are continued together, and the rules for their continuations.

    Attributes:
        input_ids, attention_mask: int64 [batch, length], padded on the left.
        logits_processor: bars tokens; probabilities are normalised over those that remain.
        max_new_tokens: maximum number of tokens in a continuation.
        eos_id: the token that ends a continuation.
    """

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    logits_processor: LogitsProcessor
    max_new_tokens: int
    eos_id: int


@dataclass(frozen=True)
class Continuation:
    """Token ids after a prompt, including the end, and their mean log-probability in nats."""

    token_ids: list[int]
    confidence: float


def token_choice(decoding: Decoding, device: torch.device) -> Choose:
    """Return how greedy decoding or sampling chooses tokens; samples start from the decoding's seed."""
    if not decoding.is_random:
        return most_probable
    generator = torch.Generator(device).manual_seed(decoding.seed)
    return sampler(decoding.temperature, decoding.top_p, generator)


def continue_rows(
    model: PreTrainedModel, batch: PromptBatch, k: int, choose: Choose, outputs: ModelOutput
) -> list[list[Continuation]]:
    """Choose k first tokens for each prompt, then one token for each row, until every row has ended.

    `generate` reads a prompt once for each of its samples and feeds ended rows until the last row ends.
    With many samples, that is several times the work. For a small model, generate's own setup also costs
    more than the forward pass.

    Args:
        outputs: the model's outputs after the prompts, as from `read_prompts`.

    Returns:
        at most k continuations of each prompt, in the order in which `choose` gives their first tokens; those
        of probability 0 are left out.
    """
    input_ids, prompt_length = batch.input_ids, batch.input_ids.shape[1]
    model_kwargs = reading_kwargs(model, batch.attention_mask)
    token_ids: list[list[int]] = [[] for _ in range(len(input_ids) * k)]
    totals = torch.zeros(len(token_ids), device=input_ids.device)
    # The continuation that each row extends. Until first tokens are chosen, a prompt has one row.
    row_index = torch.arange(0, len(token_ids), k, device=input_ids.device)
    for step in range(batch.max_new_tokens):
        if step:
            outputs = read(model, input_ids, model_kwargs, next_sequence_length=1)
        model_kwargs = model._update_model_kwargs_for_generation(outputs, model_kwargs)
        logits = batch.logits_processor(outputs.logits[:, -1].float(), input_ids[:, prompt_length:], row_index // k)
        width = 1 if step else k
        tokens = choose(logits, width)
        log_probabilities = logits.log_softmax(dim=1).gather(1, tokens).flatten()
        tokens = tokens.flatten()
        row_index = row_index if step else torch.arange(len(token_ids), device=tokens.device)
        totals[row_index] += log_probabilities
        for i, token in zip(row_index.tolist(), tokens.tolist()):
            token_ids[i].append(token)
        live = (tokens != batch.eos_id) & log_probabilities.isfinite()
        if not live.any():
            break
        if width > 1 or not live.all():
            parents = torch.arange(len(logits), device=tokens.device).repeat_interleave(width)[live]
            tokens, row_index = tokens[live], row_index[live]
            input_ids, model_kwargs = input_ids[parents], take_rows(model_kwargs, parents)
        input_ids = torch.cat([input_ids, tokens[:, None]], dim=1)
    return _by_prompt([Continuation(ids, total / len(ids)) for ids, total in zip(token_ids, totals.tolist())], k)


def beam_search(model: PreTrainedModel, batch: PromptBatch, num_beams: int) -> list[list[Continuation]]:
    """Return up to `num_beams` continuations of each prompt, best score first, without those of probability 0."""
    prompt_length = batch.input_ids.shape[1]

    def constrain(input_ids: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        prompt_index = torch.arange(len(logits), device=logits.device) // num_beams
        return batch.logits_processor(logits, input_ids[:, prompt_length:], prompt_index)

    output = model.generate(
        input_ids=batch.input_ids,
        attention_mask=batch.attention_mask,
        max_new_tokens=batch.max_new_tokens,
        do_sample=False,
        # What follows the end of a continuation is cut off below.
        pad_token_id=batch.eos_id,
        eos_token_id=batch.eos_id,
        num_beams=num_beams,
        num_return_sequences=num_beams,
        logits_processor=[constrain],
        return_dict_in_generate=True,
        output_scores=True,
    )
    beam_indices = getattr(output, "beam_indices", None)
    log_probabilities = model.compute_transition_scores(
        output.sequences, output.scores, beam_indices, normalize_logits=True
    )
    found = []
    for ids, row in zip(output.sequences[:, prompt_length:].tolist(), log_probabilities):
        ids = ids[: ids.index(batch.eos_id) + 1] if batch.eos_id in ids else ids
        found.append(Continuation(ids, float(row[: len(ids)].mean())))
    return _by_prompt(found, num_beams)


def _by_prompt(continuations: list[Continuation], k: int) -> list[list[Continuation]]:
    """Group [batch * k] continuations by prompt, without those of probability 0."""
    groups = [continuations[i : i + k] for i in range(0, len(continuations), k)]
    return [[one for one in group if isfinite(one.confidence)] for group in groups]
