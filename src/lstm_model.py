"""An LSTM language model that transformers can train, sample from and search with.

The recurrence is the fused `nn.LSTM`; the embedding and the output layer share their
weights (Press and Wolf, 2017), through a projection where the sizes differ.
"""

import pickle
from pathlib import Path

import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    GenerationMixin,
    PreTrainedTokenizerBase,
)

from src.device import pick_device
from src.lstm_backbone import (
    LSTMBackbone,
    LSTMConfig,
    LSTMOutput,
    LSTMPreTrainedModel,
    State,
    lay_out_for_few_rows,
)
from src.runs import RunError, read_meta, warn_of_other_versions, write_run_files
from src.tokenization import save_tokenizer


class LSTMLM(LSTMPreTrainedModel, GenerationMixin):
    """Embedding, LSTM and a tied output layer over the vocabulary."""

    # Tells generate() that the state can't be cut back to an earlier token.
    _is_stateful = True
    _tied_weights_keys = {"lm_head.weight": "backbone.embedding.weight"}

    def __init__(self, config: LSTMConfig):
        super().__init__(config)
        self.backbone = LSTMBackbone(config)
        self.lm_head = nn.Linear(config.embedding_dim, config.vocab_size)
        self.generation_config = GenerationConfig(
            max_new_tokens=20, pad_token_id=config.pad_token_id, eos_token_id=config.eos_token_id
        )
        self.post_init()

    def get_output_embeddings(self) -> nn.Linear:
        return self.lm_head

    def set_output_embeddings(self, value: nn.Linear) -> None:
        self.lm_head = value

    def forward(
        self,
        input_ids: torch.Tensor,
        lengths: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        state: State | None = None,
        logits_to_keep: int = 0,
        **kwargs,
    ) -> LSTMOutput:
        """Next-token logits at every position, or at the last ones.

        Args:
            input_ids: int64 [batch, length].
            lengths: int64 [batch], number of tokens of each row when padded on the right.
            attention_mask: [batch, length], 1 for a token; for padding on either side. Give
                this or `lengths`; neither means that no row is padded.
            state: hidden and cell state to go on from, each [layers, batch, hidden_dim].
            logits_to_keep: number of positions wanted, the last ones; 0: all. generate() wants one.
            **kwargs: what generate() passes to every model (`use_cache`, `return_dict`, ...).

        Returns:
            `LSTMOutput` with `logits` [batch, positions, vocab] and the `state` after the last token.
        """
        if lengths is not None:
            positions = torch.arange(input_ids.shape[1], device=input_ids.device)
            attention_mask = (positions < lengths.to(input_ids.device)[:, None]).long()
        output = self.backbone(input_ids, attention_mask, state)
        output.logits = self.lm_head(output.last_hidden_state[:, -logits_to_keep:])
        return output

    @torch.no_grad()
    def generate(
        self,
        prefix_ids: torch.Tensor | None = None,
        max_new_tokens: int | None = None,
        eos_id: int | None = None,
        **kwargs,
    ) -> torch.Tensor:
        """Continue prefixes; greedy unless asked otherwise.

        All of `GenerationMixin.generate` works: `do_sample`, `temperature`, `top_k`, `top_p`,
        `num_beams`, `num_return_sequences`, `streamer`, ...

        Args:
            prefix_ids: int64 [batch, length]; with an `attention_mask` where rows are padded.
            max_new_tokens: at most this many tokens are added, 20 by default.
            eos_id: a row ends with it; generation stops when every row has.

        Returns:
            int64 [batch, length + new tokens], prefix and continuation, ended rows padded.

        Raises:
            ValueError: `prefix_ids` are not of this shape, type or device, or no tokens of this model, or
                a setting is out of its range.
        """
        if prefix_ids is not None:
            self._check_ids(prefix_ids)
        for name, value in {"inputs": prefix_ids, "max_new_tokens": max_new_tokens, "eos_token_id": eos_id}.items():
            if value is not None:
                kwargs[name] = value
        return super().generate(**kwargs)

    def save_pretrained(
        self, save_directory: str | Path, state_dict: dict[str, torch.Tensor] | None = None, **kwargs
    ) -> None:
        """As that of transformers, which can't save what `lay_out_for_few_rows` has rearranged."""
        state_dict = state_dict or self.state_dict()
        # By place in memory, so that tied weights stay one.
        row_by_row = {tensor.data_ptr(): tensor.contiguous() for tensor in state_dict.values()}
        state_dict = {name: row_by_row[tensor.data_ptr()] for name, tensor in state_dict.items()}
        super().save_pretrained(save_directory, state_dict=state_dict, **kwargs)

    def _check_ids(self, prefix_ids: torch.Tensor) -> None:
        if prefix_ids.dim() != 2 or prefix_ids.shape[1] == 0:
            raise ValueError(
                f"prefix_ids have the shape {list(prefix_ids.shape)}: give [batch, length], length above 0"
            )
        if prefix_ids.dtype not in (torch.int64, torch.int32):
            raise ValueError(f"prefix_ids are {prefix_ids.dtype}: give torch.int64")
        if prefix_ids.device != self.device:
            raise ValueError(f"prefix_ids are on {prefix_ids.device}, the model on {self.device}: move one of them")
        smallest, largest = (int(value) for value in prefix_ids.aminmax())
        if smallest < 0 or largest >= self.config.vocab_size:
            wrong = smallest if smallest < 0 else largest
            raise ValueError(f"prefix_ids hold {wrong}: a token is from 0 to {self.config.vocab_size - 1}")

    def prepare_inputs_for_generation(
        self,
        input_ids: torch.Tensor,
        next_sequence_length: int | None = None,
        state: State | None = None,
        attention_mask: torch.Tensor | None = None,
        use_cache: bool | None = None,
        **kwargs,
    ) -> dict:
        if state is None or use_cache is False:
            return {"input_ids": input_ids, "attention_mask": attention_mask, "logits_to_keep": 1}
        return {"input_ids": input_ids[:, -(next_sequence_length or 1) :], "state": state, "logits_to_keep": 1}

    @classmethod
    def _supports_default_dynamic_cache(cls) -> bool:
        return False

    def _reorder_cache(self, state: State, beam_idx: torch.Tensor) -> State:
        return tuple(part.index_select(1, beam_idx) for part in state)


AutoConfig.register(LSTMConfig.model_type, LSTMConfig)
AutoModelForCausalLM.register(LSTMConfig, LSTMLM)


def save_lstm_lm(
    run_dir: str | Path, model: LSTMLM, tokenizer: PreTrainedTokenizerBase, meta: dict, history: list[dict]
) -> Path:
    """Write a run folder: weights, tokenizer, `meta.json`, `history.json` and a model card.

    Args:
        run_dir: an existing folder.
        meta: what to record of the run, see `src.runs.run_metadata`; the model's sizes are added.
        history: one dict per evaluation during training.
    """
    run_dir = Path(run_dir)
    save_tokenizer(tokenizer, run_dir)
    torch.save(model.state_dict(), run_dir / "model.pt")
    write_run_files(run_dir, {**meta, "model": model.config.to_diff_dict()}, history)
    return run_dir


def load_lstm_lm(
    run_dir: str | Path, device: str | torch.device | None = None
) -> tuple[PreTrainedTokenizerBase, LSTMLM, int, int]:
    """Load a run folder written by `save_lstm_lm`, ready to complete.

    Args:
        run_dir: e.g. "models/lstm_lm-20260101-120000".
        device: None picks the best there is.

    Returns:
        tokenizer, model in evaluation mode, pad_id, eos_id. The model's `generate` gives at least
        one token that is not the end; `min_new_tokens=0` lifts that.

    Raises:
        RunError: the folder or one of its files is missing or isn't what it should be.
    """
    run_dir = Path(run_dir)
    sizes = read_meta(run_dir).get("model")
    weights_path = run_dir / "model.pt"
    if sizes is None:
        raise RunError(f"{run_dir} is the run of another model, not of an LSTM: choose another folder")
    if not weights_path.is_file():
        raise RunError(f"{run_dir} has no model.pt: it is not a complete LSTM run, choose another folder")
    warn_of_other_versions(run_dir)
    try:
        model = LSTMLM(LSTMConfig.from_dict(sizes))
    except (TypeError, ValueError, RuntimeError) as error:
        raise RunError(f"{run_dir / 'meta.json'} does not hold an LSTM's sizes ({error}): restore the file") from error
    try:
        model.load_state_dict(torch.load(weights_path, map_location="cpu", weights_only=True))
    except (pickle.UnpicklingError, EOFError, IndexError, OSError, RuntimeError, TypeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RunError(f"{weights_path} does not hold this model's weights ({reason}): restore the file") from error
    if not all(parameter.isfinite().all() for parameter in model.parameters()):
        raise RunError(f"{weights_path} holds weights that are no numbers: its training failed, choose another run")
    # An empty suggestion is none: unless told otherwise, a loaded completer never ends at once.
    model.generation_config.min_new_tokens = 1
    tokenizer = _load_tokenizer(run_dir)
    if len(tokenizer) != model.config.vocab_size:
        raise RunError(
            f"{run_dir} has a tokenizer of {len(tokenizer)} tokens, its model knows {model.config.vocab_size}: "
            "they are of different runs, restore the folder"
        )
    model = model.to(pick_device(device)).eval()
    if model.device.type == "cpu":
        lay_out_for_few_rows(model)
    return tokenizer, model, tokenizer.pad_token_id, tokenizer.eos_token_id


def _load_tokenizer(run_dir: Path) -> PreTrainedTokenizerBase:
    try:
        return AutoTokenizer.from_pretrained(run_dir)
    except Exception as error:  # What its library raises for a broken file has no narrower type.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RunError(f"{run_dir} has no tokenizer that can be read ({reason}): restore its files") from error
