"""What the models of this project add to transformers: a `generate` that ignores nothing, and the library's loss."""

from copy import deepcopy

import torch
from transformers import GenerationConfig, GenerationMixin, MaxLengthCriteria, StoppingCriteriaList
from transformers.loss.loss_utils import ForCausalLMLoss

from src.models.inputs import check_ids, check_labels, check_vocabulary, checked_mask, refuse_unsupported

# The lengths that a model has unless somebody sets others; the minimum is set where a run is loaded.
DEFAULT_LENGTHS = {"max_new_tokens": 20, "min_new_tokens": 1}


def next_token_loss(
    logits: torch.Tensor,
    input_ids: torch.Tensor,
    labels: torch.Tensor | None,
    num_items_in_batch: int | torch.Tensor | None = None,
) -> torch.Tensor | None:
    """The loss of transformers' causal language models, float32 scalar in nats; None without labels.

    Args:
        logits: float [batch, length, vocab].
        input_ids: int64 [batch, length].
        labels: int64 [batch, length], aligned with `input_ids`: the logits at a position are compared with the
            next position's label. -100 stands for no target.
        num_items_in_batch: divides the sum over targets, in place of their number in these rows.

    Raises:
        ValueError: shape, dtype or range of the labels is wrong, or there are not logits for all positions.
    """
    if labels is None:
        return None
    check_labels(labels, input_ids, logits.shape[-1])
    if logits.shape[1] != labels.shape[1]:
        raise ValueError("labels need the logits of all positions: leave logits_to_keep at 0")
    return ForCausalLMLoss(logits, labels, logits.shape[-1], num_items_in_batch)


# transformers knows by the end of the name that such a model can generate.
class CheckedGenerationMixin(GenerationMixin):
    """transformers' `generate` for models without attention. What it would ignore is refused."""

    @torch.no_grad()
    def generate(
        self,
        prefix_ids: torch.Tensor | None = None,
        max_new_tokens: int | None = None,
        eos_id: int | None = None,
        **kwargs,
    ) -> torch.Tensor:
        """Continue prefixes, greedily by default.

        The options of `GenerationMixin.generate` work: `do_sample`, `temperature`, `top_k`, `top_p`, `num_beams`,
        `num_return_sequences`, `max_length`, `streamer`, `stop_strings`, ... Those of `UNSUPPORTED` are refused.
        A length that the call sets replaces the model's own one, whether it counts new tokens or all tokens.

        Args:
            prefix_ids: int64 [batch, length]; give an `attention_mask` where rows are padded.
            max_new_tokens: maximum number of tokens to add, 20 by default.
            eos_id: the token that ends a row; generation stops when every row has ended.

        Returns:
            int64 [batch, length + new tokens], prefix and continuation; rows that ended early are padded.

        Raises:
            ValueError: the shape, type, device or range of `prefix_ids` is wrong, the mask has another shape, or an
                option is out of its range, unknown or not supported.
        """
        refuse_unsupported(kwargs)
        self._check_prefixes(prefix_ids, **kwargs)
        if isinstance(max_new_tokens, GenerationConfig):
            raise ValueError("max_new_tokens is a GenerationConfig: give a number, and the configuration by its name")
        options = {"inputs": prefix_ids, "max_new_tokens": max_new_tokens, "eos_token_id": eos_id}
        kwargs |= {name: value for name, value in options.items() if value is not None}
        if eos_id is not None and kwargs.get("generation_config") is not None:
            # The library warns about options beside a generation_config.
            kwargs["generation_config"] = deepcopy(kwargs["generation_config"])
            kwargs["generation_config"].eos_token_id = kwargs.pop("eos_token_id")
        criteria = kwargs.get("stopping_criteria") or ()
        if limits := [each.max_length for each in criteria if isinstance(each, MaxLengthCriteria)]:
            # It has precedence in the library, too, whose beam search fails if it does not know the length before.
            others = StoppingCriteriaList(each for each in criteria if not isinstance(each, MaxLengthCriteria))
            kwargs |= {"stopping_criteria": others, "max_length": min(limits), "max_new_tokens": None}
        return super().generate(**kwargs)

    def _check_prefixes(
        self,
        prefix_ids: torch.Tensor | None,
        inputs: torch.Tensor | None = None,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        **kwargs,
    ) -> None:
        given = {"prefix_ids": prefix_ids, "inputs": inputs, "input_ids": input_ids}
        given = {name: ids for name, ids in given.items() if ids is not None}
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} are given: they mean the same, give one of them")
        for name, ids in given.items():
            check_ids(ids, name)
            if ids.device != self.device:
                raise ValueError(f"{name} are on {ids.device}, the model on {self.device}: move one of them")
            check_vocabulary(ids, name, self.config.vocab_size)
            if attention_mask is not None:
                checked_mask(attention_mask, ids)

    def _prepare_generation_config(
        self, generation_config: GenerationConfig | None, **kwargs
    ) -> tuple[GenerationConfig, dict]:
        config, model_kwargs = super()._prepare_generation_config(generation_config, **kwargs)
        refuse_unsupported(vars(config) | model_kwargs)
        for name, value in model_kwargs.items():
            if value is not None and name not in ("input_ids", "attention_mask"):
                raise ValueError(f"generate() has no option {name!r}: check its spelling or leave it out")
        self._set_lengths(config, kwargs, generation_config)
        return config, model_kwargs

    def _set_lengths(self, config: GenerationConfig, kwargs: dict, generation_config: GenerationConfig | None) -> None:
        """Take each length from the call, else from what was set on the model; else leave the maximum open.

        transformers would merge the numbers of new tokens and of all tokens from all of these and prefer the former.
        """
        own = vars(self.generation_config).items()
        own = {name: value for name, value in own if DEFAULT_LENGTHS.get(name) != value}
        levels = (kwargs, vars(generation_config or GenerationConfig()), own)
        for names in (("min_length", "min_new_tokens"), ("max_length", "max_new_tokens")):
            lengths = [{name: level.get(name) for name in names} for level in levels]
            chosen = next((each for each in lengths if any(value is not None for value in each.values())), {})
            vars(config).update(chosen)
            if not chosen and "max_new_tokens" in names:
                config.max_new_tokens = None

    def _prepare_generated_length(
        self, generation_config: GenerationConfig, input_ids_length: int, has_default_max_length: bool, **kwargs
    ) -> GenerationConfig:
        if has_default_max_length and generation_config.max_new_tokens is None:
            # A minimum beats the default, too.
            minima = generation_config.min_new_tokens or 0, (generation_config.min_length or 0) - input_ids_length
            generation_config.max_new_tokens = max(DEFAULT_LENGTHS["max_new_tokens"], *minima)
        lengths = {"input_ids_length": input_ids_length, "has_default_max_length": has_default_max_length}
        return super()._prepare_generated_length(generation_config, **lengths, **kwargs)
