"""Checks of what a model is given: wrong shapes and values, and arguments of transformers that it would ignore."""

import torch

from src.next_token_dataset import IGNORE_INDEX

NO_CACHE = "it has no attention cache that a caller can set"
NO_LAYERS = "it does not return the outputs of its layers"
MOVED = "transformers itself no longer contains this search"
ONE_MODEL = "it can't check the tokens of an assistant"
NO_GUIDANCE = "transformers' guidance needs an attention cache"
# Arguments that models of transformers have and the models of this project don't, with the reason.
UNSUPPORTED = {
    "past_key_values": NO_CACHE,
    "cache_implementation": NO_CACHE,
    "cache_config": NO_CACHE,
    "max_cache_len": NO_CACHE,
    "prefill_chunk_size": NO_CACHE,
    "inputs_embeds": "give input_ids",
    "position_ids": "it reads tokens in their order",
    "token_type_ids": "it knows one type of token",
    "lengths": "give an attention_mask",
    "state": "give all tokens from the beginning of the text",
    "output_attentions": "it has no attention",
    "output_hidden_states": NO_LAYERS,
    "dola_layers": NO_LAYERS,
    "assistant_early_exit": NO_LAYERS,
    "penalty_alpha": NO_LAYERS,
    "use_mtp": ONE_MODEL,
    "assistant_model": ONE_MODEL,
    "prompt_lookup_num_tokens": ONE_MODEL,
    "guidance_scale": NO_GUIDANCE,
    "negative_prompt_ids": NO_GUIDANCE,
    "negative_prompt_attention_mask": NO_GUIDANCE,
    "num_beam_groups": MOVED,
    "diversity_penalty": MOVED,
    "constraints": MOVED,
    "force_words_ids": MOVED,
    "token_healing": "complete half-typed words with src.completion.Completer",
}
# Values, besides None and False, that ask for nothing.
NEUTRAL = {"guidance_scale": 1, "penalty_alpha": 0, "num_beam_groups": 1, "diversity_penalty": 0}
# Arguments that change no answer of these models.
WITHOUT_EFFECT = ("use_cache", "cache_position")


def refuse_unsupported(arguments: dict) -> None:
    """Refuse arguments that transformers knows and a model would ignore.

    Args:
        arguments: values by name; None, False and `NEUTRAL` values ask for nothing.

    Raises:
        ValueError: an unsupported argument asks for something.
    """
    for name, reason in UNSUPPORTED.items():
        value = arguments.get(name)
        if value is None or value is False or (name in NEUTRAL and value == NEUTRAL[name]):
            continue
        raise ValueError(f"{name} is not supported by this model: {reason}")


def refuse_unknown(arguments: dict) -> None:
    """Refuse the remaining arguments of a model's `forward`.

    Raises:
        ValueError: as in `refuse_unsupported`.
        TypeError: a name that transformers does not know either.
    """
    refuse_unsupported(arguments)
    for name in arguments:
        if name not in UNSUPPORTED and name not in WITHOUT_EFFECT:
            raise TypeError(f"forward() has no argument {name!r}: check its spelling or leave it out")


def last_positions(logits_to_keep: int) -> slice:
    """The positions of which a model returns logits; 0 means all.

    Raises:
        ValueError: it is not a whole number from 0.
    """
    if not isinstance(logits_to_keep, int) or logits_to_keep < 0:
        raise ValueError(f"logits_to_keep is {logits_to_keep}: give the number of last positions, or 0 for all")
    return slice(-logits_to_keep, None)


def check_ids(ids: torch.Tensor, name: str = "input_ids") -> None:
    """Check shape and dtype of token ids, int64 [batch, length].

    Raises:
        ValueError: they are not such a tensor, or the length is 0.
    """
    _check_integers(ids, name)
    if ids.dim() != 2 or ids.shape[1] == 0:
        raise ValueError(f"{name} have the shape {[*ids.shape]}: give [batch, length], length above 0")


def check_vocabulary(ids: torch.Tensor, name: str, vocab_size: int) -> None:
    """Check the values of token ids.

    Raises:
        ValueError: a value is not from 0 to `vocab_size` - 1.
    """
    if ids.numel() == 0:
        return
    smallest, largest = (int(value) for value in ids.aminmax())
    if smallest < 0 or largest >= vocab_size:
        wrong = smallest if smallest < 0 else largest
        raise ValueError(f"{name} contain {wrong}: token ids go from 0 to {vocab_size - 1}")


def checked_mask(mask: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """The attention mask of token ids as int64 [batch, length].

    Args:
        mask: 1 for a token and 0 for a pad, of any dtype.
        ids: [batch, length].

    Raises:
        ValueError: the shape is not that of `ids`, or a value is neither 0 nor 1.
    """
    _check_shape(mask, "attention_mask", ids.shape, "input_ids has")
    is_token = mask == 1
    if not bool((is_token | (mask == 0)).all()):
        raise ValueError("attention_mask has values other than 0 and 1: give 1 for a token and 0 for a pad")
    return is_token.long()


def pad_mask(
    ids: torch.Tensor, lengths: torch.Tensor | None, mask: torch.Tensor | None, labels: torch.Tensor | None
) -> torch.Tensor | None:
    """The attention mask that a model reads with: `mask`, or that of rows padded on the right; None: no pads.

    Args:
        ids: int64 [batch, length].
        lengths: int64 [batch], number of tokens of each row.
        mask, labels: arguments that contradict `lengths`.

    Raises:
        ValueError: `lengths` are given with one of these, their shape or dtype is wrong, or a length is not from 0
            to that of the rows.
    """
    if lengths is None:
        return mask
    if mask is not None:
        raise ValueError("lengths and attention_mask both say where the pads are: give one of them")
    if labels is not None:
        raise ValueError(
            "labels that come with lengths, as from collate_batch, are those of the next token: give labels that are "
            "aligned with input_ids, and an attention_mask"
        )
    check_ids(ids)
    _check_integers(lengths, "lengths")
    _check_shape(lengths, "lengths", ids.shape[:1], "input_ids has the batch size")
    lengths = lengths.to(ids.device)
    wrong = ((lengths < 0) | (lengths > ids.shape[1])).nonzero()
    if len(wrong):
        row = int(wrong[0])
        raise ValueError(f"lengths say {int(lengths[row])} for row {row}: give a number from 1 to {ids.shape[1]}")
    return (torch.arange(ids.shape[1], device=ids.device) < lengths[:, None]).long()


def check_state(state: tuple[torch.Tensor, torch.Tensor], shape: tuple[int, int, int], dtype: torch.dtype) -> None:
    """Check hidden and cell state.

    Args:
        shape: layers, batch, hidden_dim.
        dtype: that of the model's weights.

    Raises:
        ValueError: these are not two tensors of this shape and dtype. Under autocast any dtype passes.
    """
    shapes = [[*tensor.shape] if isinstance(tensor, torch.Tensor) else type(tensor).__name__ for tensor in state]
    if shapes != [[*shape]] * 2:
        raise ValueError(f"state has the shapes {shapes}: give two of {[*shape]}, [layers, batch, hidden_dim]")
    wrong = {tensor.dtype for tensor in state} - {dtype}
    if wrong and not torch.is_autocast_enabled(state[0].device.type):
        raise ValueError(f"state is {wrong.pop()}: give {dtype}")


def check_labels(labels: torch.Tensor, ids: torch.Tensor, vocab_size: int) -> None:
    """Check labels that are aligned with token ids.

    Raises:
        ValueError: shape or dtype is wrong, or a label is neither a token id nor `IGNORE_INDEX`.
    """
    _check_integers(labels, "labels")
    _check_shape(labels, "labels", ids.shape, "input_ids has")
    check_vocabulary(labels[labels != IGNORE_INDEX], "labels", vocab_size)


def _check_integers(tensor: torch.Tensor, name: str) -> None:
    if not isinstance(tensor, torch.Tensor):
        raise ValueError(f"{name} are a {type(tensor).__name__}: give a tensor of torch.int64")
    if tensor.dtype not in (torch.int64, torch.int32):
        raise ValueError(f"{name} are {tensor.dtype}: give torch.int64")


def _check_shape(tensor: torch.Tensor, name: str, shape: torch.Size, wanted: str) -> None:
    if not isinstance(tensor, torch.Tensor):
        raise ValueError(f"{name} is a {type(tensor).__name__}: give a tensor")
    if tensor.shape != shape:
        raise ValueError(f"{name} has the shape {[*tensor.shape]}, but {wanted} {[*shape]}: give one value for each")
