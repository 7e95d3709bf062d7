"""An LSTM language model that works with transformers: training, sampling, beam search, pipelines.

    input_ids           [batch, length]
        |  embedding, dropout
    embedded            [batch, length, embedding_dim]
        |  LSTM, from one state to the next: hidden and cell, each [layers, batch, hidden_dim]
    output              [batch, length, hidden_dim]
        |  projection (where the sizes differ), dropout
    last_hidden_state   [batch, length, embedding_dim]
        |  output layer
    logits              [batch, length, vocab_size]

The output layer shares the embedding's weights (Press and Wolf, 2017).
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    GenerationConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
from transformers.utils import ModelOutput, can_return_tuple

from src.corpus.tokenization import load_tokenizer, save_tokenizer
from src.device import pick_device
from src.models.generation import DEFAULT_LENGTHS, CheckedGenerationMixin, next_token_loss
from src.models.inputs import (
    check_ids,
    check_state,
    checked_mask,
    last_positions,
    pad_mask,
    refuse_unknown,
    refuse_unsupported,
)
from src.models.lstm_cpu import State, lay_out_for_few_rows, token_by_token
from src.models.lstm_weights import contiguous, initialise_weights, read_weights, smallest
from src.runs import RunError, read_meta, warn_of_other_versions, write_run_files


class LSTMConfig(PreTrainedConfig):
    """Sizes and dropout probability of an `LSTMLM`; the defaults are those of the committed run.

    `bos_token_id` is the token before every training text; None: the model has never predicted a first word.
    """

    model_type = "lstm_lm"
    # What the library's Trainer does not gather when it evaluates.
    keys_to_ignore_at_inference = ["last_hidden_state", "state"]

    vocab_size: int = 12_000
    embedding_dim: int = 256
    hidden_dim: int = 640
    num_layers: int = 1
    dropout: float = 0.0
    pad_token_id: int | None = 0
    bos_token_id: int | None = None
    eos_token_id: int | None = 2
    tie_word_embeddings: bool = True


@dataclass
class LSTMOutput(ModelOutput):
    """Output of the backbone or of the complete model, in float32 or in the dtype of autocast.

    Attributes:
        loss: float32 scalar; None without labels.
        logits: [batch, positions, vocab]; None from the backbone.
        last_hidden_state: [batch, length, embedding_dim], the input of the output layer.
        state: hidden and cell state after the last token of each row, each [layers, batch, hidden_dim].
    """

    loss: torch.Tensor | None = None
    logits: torch.Tensor | None = None
    last_hidden_state: torch.Tensor | None = None
    state: State | None = None

    def to_tuple(self) -> tuple:
        """The values in the order above. The library's is that in which they were set."""
        values = self.loss, self.logits, self.last_hidden_state, self.state
        return tuple(value for value in values if value is not None)


class LSTMPreTrainedModel(PreTrainedModel):
    """Configuration and initial weights, for the backbone and the complete model."""

    config_class = LSTMConfig
    base_model_prefix = "backbone"

    def _init_weights(self, module: nn.Module) -> None:
        initialise_weights(module, self.config.embedding_dim**-0.5)


class LSTMBackbone(LSTMPreTrainedModel):
    """Token ids to hidden states: embedding, LSTM and projection."""

    # Where transformers looks for the input embedding.
    _input_embed_layer = "embedding"

    def __init__(self, config: LSTMConfig):
        refuse_unsupported({name: getattr(config, name) for name in ("output_attentions", "output_hidden_states")})
        super().__init__(config)
        self.embedding = nn.Embedding(config.vocab_size, config.embedding_dim)
        between_layers = config.dropout if config.num_layers > 1 else 0.0
        self.lstm = nn.LSTM(
            config.embedding_dim, config.hidden_dim, config.num_layers, batch_first=True, dropout=between_layers
        )
        self.projection = (
            nn.Identity()
            if config.hidden_dim == config.embedding_dim
            else nn.Linear(config.hidden_dim, config.embedding_dim, bias=False)
        )
        self.dropout = nn.Dropout(config.dropout)
        self.post_init()

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, state: State | None = None
    ) -> LSTMOutput:
        """Run the recurrence over the tokens and never over a pad.

        Args:
            input_ids: int64 [batch, length].
            attention_mask: int64 [batch, length], 1 for a token and 0 for a pad on either side; None: no pads.
            state: hidden and cell state to continue from, each [layers, batch, hidden_dim]; None: each row is the
                beginning of a text. One without `bos_token_id` is read as if it stood there.

        Raises:
            ValueError: a shape, dtype or mask value is wrong, or a row has no tokens.
        """
        check_ids(input_ids)
        if state is not None:
            sizes = self.lstm.num_layers, len(input_ids), self.lstm.hidden_size
            check_state(state, sizes, self.embedding.weight.dtype)
        if attention_mask is not None:
            attention_mask = checked_mask(attention_mask, input_ids)
            if not bool(attention_mask.all()):
                return self._forward_padded(input_ids, attention_mask, state)
        state = state or self._initial_state(input_ids[:, 0])
        embedded = self.dropout(self.embedding(input_ids))
        by_token = 1 in input_ids.shape and not self.training and embedded.device.type == "cpu"
        output, state = token_by_token(self.lstm, embedded, state) if by_token else self.lstm(embedded, state)
        return LSTMOutput(last_hidden_state=self.dropout(self.projection(output)), state=state)

    def _initial_state(self, first_ids: torch.Tensor) -> State | None:
        """Zeros for rows that begin with `bos_token_id`, else the state after it; `first_ids` is int64 [batch]."""
        bos = self.config.bos_token_id
        if bos is None or bool((begins := first_ids == bos).all()):
            return None
        _, state = self.lstm(self.embedding(first_ids.new_full((1, 1), bos)))
        return tuple(
            tensor.expand(-1, len(first_ids), -1).masked_fill(begins[None, :, None], 0).contiguous() for tensor in state
        )

    def _forward_padded(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, state: State | None) -> LSTMOutput:
        """Move the tokens of each row to its left, pack them, run the LSTM, and move the outputs back.

        A pad after a token repeats that token's output, so `logits[:, -1]` predicts the next token
        whichever side the pads are on. A pad before all tokens has output 0: it must not see the first
        token, which is its label in the library's loss.
        """
        lengths = attention_mask.sum(dim=1)
        if bool((lengths == 0).any()):
            raise ValueError(f"row {int(lengths.argmin())} of the batch has no tokens: give every row at least one")
        tokens_first = attention_mask.argsort(dim=1, descending=True, stable=True)
        input_ids = input_ids.gather(1, tokens_first)
        state = state or self._initial_state(input_ids[:, 0])
        embedded = self.dropout(self.embedding(input_ids))
        packed = pack_padded_sequence(embedded, lengths.cpu(), batch_first=True, enforce_sorted=False)
        packed_output, state = self.lstm(packed, state)
        output, _ = pad_packed_sequence(packed_output, batch_first=True, total_length=input_ids.shape[1])
        output = self.dropout(self.projection(output))
        rank_of_token = (attention_mask.cumsum(dim=1) - 1)[:, :, None]
        hidden = output.gather(1, rank_of_token.clamp(min=0).expand_as(output))
        return LSTMOutput(last_hidden_state=hidden.masked_fill(rank_of_token < 0, 0), state=state)


class LSTMLM(LSTMPreTrainedModel, CheckedGenerationMixin):
    """The language model: backbone and output layer. `generate` is that of `CheckedGenerationMixin`."""

    # Tells generate() that the state cannot be cropped to an earlier token.
    _is_stateful = True
    _tied_weights_keys = {"lm_head.weight": "backbone.embedding.weight"}

    def __init__(self, config: LSTMConfig):
        super().__init__(config)
        self.backbone = LSTMBackbone(config)
        self.lm_head = nn.Linear(config.embedding_dim, config.vocab_size)
        self.generation_config = GenerationConfig(
            max_new_tokens=DEFAULT_LENGTHS["max_new_tokens"],
            pad_token_id=config.pad_token_id,
            bos_token_id=config.bos_token_id,
            eos_token_id=config.eos_token_id,
        )
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.Tensor,
        lengths: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        state: State | None = None,
        logits_to_keep: int = 0,
        labels: torch.Tensor | None = None,
        num_items_in_batch: int | torch.Tensor | None = None,
        **kwargs,
    ) -> LSTMOutput:
        """Next-token logits at all positions, or at the last ones.

        Args:
            input_ids: int64 [batch, length].
            lengths: int64 [batch], number of tokens of each row, where rows are padded on the right.
            attention_mask: int64 [batch, length], 1 for a token and 0 for a pad on either side. Give
                this or `lengths`, or neither where no row is padded.
            state: as in `LSTMBackbone.forward`.
            logits_to_keep: number of last positions to return; 0 returns all. generate() asks for 1.
            labels, num_items_in_batch: as in `next_token_loss`; the library's Trainer gives both. The labels
                of `collate_batch` are others: at each position they are the next token.
            **kwargs: `return_dict`; False returns a tuple without names. What `refuse_unknown` lets pass.

        Raises:
            ValueError: a shape, dtype or value is wrong, a row has no tokens, or arguments contradict each other.
            TypeError: an argument is unknown.
        """
        refuse_unknown(kwargs)
        attention_mask = pad_mask(input_ids, lengths, attention_mask, labels)
        output = self.backbone(input_ids, attention_mask, state)
        output.logits = self.lm_head(output.last_hidden_state[:, last_positions(logits_to_keep)])
        output.loss = next_token_loss(output.logits, input_ids, labels, num_items_in_batch)
        return output

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
        return tuple(tensor.index_select(1, beam_idx) for tensor in state)

    def save_pretrained(
        self, save_directory: str | Path, state_dict: dict[str, torch.Tensor] | None = None, **kwargs
    ) -> None:
        """Save in transformers' format. safetensors refuses the layout of `lay_out_for_few_rows`, so it is undone."""
        state_dict = contiguous(state_dict or self.state_dict())
        super().save_pretrained(save_directory, state_dict=state_dict, **kwargs)


AutoConfig.register(LSTMConfig.model_type, LSTMConfig)
AutoModelForCausalLM.register(LSTMConfig, LSTMLM)
# Where pipelines look up the models that they support, and the Trainer those whose labels it has to shift.
MODEL_FOR_CAUSAL_LM_MAPPING_NAMES[LSTMConfig.model_type] = LSTMLM.__name__


def save_lstm_lm(
    run_dir: str | Path, model: LSTMLM, tokenizer: PreTrainedTokenizerBase, meta: dict, history: list[dict]
) -> Path:
    """Write a run folder: weights, tokenizer, `meta.json`, `history.json` and a model card.

    Args:
        run_dir: an existing folder.
        meta: the run's record, see `src.runs.run_metadata`; the model's sizes are added.
        history: as in `src.training.train.TrainingResult`.
    """
    run_dir = Path(run_dir)
    save_tokenizer(tokenizer, run_dir)
    torch.save(smallest(model.state_dict()), run_dir / "model.pt")
    # All sizes, so that a default can change without changing a saved run.
    sizes = {name: getattr(model.config, name) for name in LSTMConfig.__annotations__}
    write_run_files(run_dir, {**meta, "model": sizes}, history)
    return run_dir


def load_lstm_lm(
    run_dir: str | Path, device: str | torch.device | None = None
) -> tuple[PreTrainedTokenizerBase, LSTMLM, int, int]:
    """Load a run folder written by `save_lstm_lm`, ready to complete tweets.

    Args:
        run_dir: e.g. "models/lstm_lm-20260101-120000".
        device: None picks the best one available.

    Returns:
        tokenizer, model in evaluation mode, pad_id, eos_id. The model's `generate` adds at least
        one token before the end; `min_new_tokens=0` lifts that.

    Raises:
        RunError: the folder or one of its files is missing or damaged.
    """
    run_dir = Path(run_dir)
    sizes = read_meta(run_dir).get("model")
    if sizes is None:
        raise RunError(f"{run_dir} is the run of another model, not of an LSTM: choose another folder")
    if not (run_dir / "model.pt").is_file():
        raise RunError(f"{run_dir} has no model.pt: it is not a complete LSTM run, choose another folder")
    warn_of_other_versions(run_dir)
    model = _load_model(run_dir, sizes)
    # An empty suggestion helps nobody.
    model.generation_config.min_new_tokens = DEFAULT_LENGTHS["min_new_tokens"]
    tokenizer = _load_tokenizer(run_dir)
    if len(tokenizer) != model.config.vocab_size:
        raise RunError(
            f"{run_dir} has a tokenizer of {len(tokenizer)} tokens, but its model knows {model.config.vocab_size}: "
            "they belong to different runs, restore the folder"
        )
    model = model.to(pick_device(device)).eval()
    if model.device.type == "cpu":
        lay_out_for_few_rows(model)
    return tokenizer, model, tokenizer.pad_token_id, tokenizer.eos_token_id


def _load_model(run_dir: Path, sizes: dict) -> LSTMLM:
    weights_path = run_dir / "model.pt"
    try:
        model = LSTMLM(LSTMConfig.from_dict(sizes))
    except (TypeError, ValueError, RuntimeError) as error:
        raise RunError(f"{run_dir / 'meta.json'} does not hold an LSTM's sizes ({error}): restore the file") from error
    try:
        model.load_state_dict(read_weights(weights_path))
    except Exception as error:  # torch raises errors of many types for a broken file.
        # Some of its messages advise to read the file without this check, which would run code from it.
        reason = "it is no file of weights alone" if "weights_only" in str(error) else _first_line(error)
        raise RunError(f"{weights_path} does not hold this model's weights ({reason}): restore the file") from None
    if not all(parameter.isfinite().all() for parameter in model.parameters()):
        raise RunError(f"{weights_path} holds weights that are not finite: the training run failed, choose another")
    return model


def _load_tokenizer(run_dir: Path) -> PreTrainedTokenizerBase:
    try:
        return load_tokenizer(run_dir)
    except Exception as error:  # The library raises no narrower type for a broken file.
        message = f"{run_dir} has no tokenizer that can be read ({_first_line(error)}): restore its files"
        raise RunError(message) from error


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
