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
    AutoTokenizer,
    GenerationConfig,
    GenerationMixin,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import ModelOutput

from src.corpus.tokenization import save_tokenizer
from src.device import pick_device
from src.models.lstm_cpu import State, lay_out_for_few_rows, token_by_token
from src.runs import RunError, read_meta, warn_of_other_versions, write_run_files


class LSTMConfig(PreTrainedConfig):
    """Sizes and dropout probability of an `LSTMLM`; the defaults are those of the committed run."""

    model_type = "lstm_lm"

    vocab_size: int = 12_000
    embedding_dim: int = 256
    hidden_dim: int = 640
    num_layers: int = 1
    dropout: float = 0.3
    pad_token_id: int | None = 0
    eos_token_id: int | None = 2
    tie_word_embeddings: bool = True


@dataclass
class LSTMOutput(ModelOutput):
    """Output of the backbone or of the complete model, in float32 or in the dtype of autocast.

    Attributes:
        logits: [batch, positions, vocab]; None from the backbone.
        last_hidden_state: [batch, length, embedding_dim], the input of the output layer.
        state: hidden and cell state after the last token of each row, each [layers, batch, hidden_dim].
    """

    logits: torch.Tensor | None = None
    last_hidden_state: torch.Tensor | None = None
    state: State | None = None


class LSTMPreTrainedModel(PreTrainedModel):
    """Configuration and initial weights, for the backbone and the complete model."""

    config_class = LSTMConfig
    base_model_prefix = "backbone"

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=self.config.embedding_dim**-0.5)
        elif isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.LSTM):
            for name, parameter in module.named_parameters():
                if "bias_ih" in name:
                    nn.init.zeros_(parameter)
                    # Forget gates start open (Jozefowicz et al., 2015).
                    with torch.no_grad():
                        parameter[module.hidden_size : 2 * module.hidden_size].fill_(1.0)
                elif "bias_hh" in name:
                    nn.init.zeros_(parameter)


class LSTMBackbone(LSTMPreTrainedModel):
    """Token ids to hidden states: embedding, LSTM and projection."""

    # Where transformers looks for the input embedding.
    _input_embed_layer = "embedding"

    def __init__(self, config: LSTMConfig):
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
            state: hidden and cell state to continue from, each [layers, batch, hidden_dim]; None: zeros.

        Raises:
            ValueError: a row has no tokens.
        """
        if attention_mask is None or bool(attention_mask.all()):
            embedded = self.dropout(self.embedding(input_ids))
            by_token = 1 in input_ids.shape and not self.training and embedded.device.type == "cpu"
            output, state = token_by_token(self.lstm, embedded, state) if by_token else self.lstm(embedded, state)
            return LSTMOutput(last_hidden_state=self.dropout(self.projection(output)), state=state)
        return self._forward_padded(input_ids, attention_mask, state)

    def _forward_padded(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, state: State | None) -> LSTMOutput:
        """Move the tokens of each row to its left, pack them, run the LSTM, and move the outputs back.

        A pad after a token repeats that token's output, so `logits[:, -1]` predicts the next token
        whichever side the pads are on.
        """
        lengths = attention_mask.sum(dim=1)
        if bool((lengths == 0).any()):
            raise ValueError(f"row {int(lengths.argmin())} of the batch has no tokens: give every row at least one")
        tokens_first = attention_mask.argsort(dim=1, descending=True, stable=True)
        embedded = self.dropout(self.embedding(input_ids.gather(1, tokens_first)))
        packed = pack_padded_sequence(embedded, lengths.cpu(), batch_first=True, enforce_sorted=False)
        packed_output, state = self.lstm(packed, state)
        output, _ = pad_packed_sequence(packed_output, batch_first=True, total_length=input_ids.shape[1])
        output = self.dropout(self.projection(output))
        rank_of_token = (attention_mask.cumsum(dim=1) - 1).clamp(min=0)
        hidden = output.gather(1, rank_of_token[:, :, None].expand(-1, -1, output.shape[2]))
        return LSTMOutput(last_hidden_state=hidden, state=state)


class LSTMLM(LSTMPreTrainedModel, GenerationMixin):
    """The language model: backbone and output layer."""

    # Tells generate() that the state cannot be cropped to an earlier token.
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

    def forward(
        self,
        input_ids: torch.Tensor,
        lengths: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        state: State | None = None,
        logits_to_keep: int = 0,
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
            **kwargs: what generate() passes to every model (`use_cache`, `return_dict`, ...).

        Raises:
            ValueError: a row has no tokens.
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
        """Continue prefixes, greedily by default.

        All options of `GenerationMixin.generate` work: `do_sample`, `temperature`, `top_k`, `top_p`,
        `num_beams`, `num_return_sequences`, `streamer`, ...

        Args:
            prefix_ids: int64 [batch, length]; give an `attention_mask` where rows are padded.
            max_new_tokens: maximum number of tokens to add, 20 by default.
            eos_id: the token that ends a row; generation stops when every row has ended.

        Returns:
            int64 [batch, length + new tokens], prefix and continuation; rows that ended early are padded.

        Raises:
            ValueError: the shape, type, device or range of `prefix_ids` is wrong, or a setting is out of its range.
        """
        if prefix_ids is not None:
            self._check_ids(prefix_ids)
        options = {"inputs": prefix_ids, "max_new_tokens": max_new_tokens, "eos_token_id": eos_id}
        return super().generate(**(kwargs | {name: value for name, value in options.items() if value is not None}))

    def _check_ids(self, prefix_ids: torch.Tensor) -> None:
        if prefix_ids.dim() != 2 or prefix_ids.shape[1] == 0:
            raise ValueError(f"prefix_ids have the shape {[*prefix_ids.shape]}: give [batch, length], length above 0")
        if prefix_ids.dtype not in (torch.int64, torch.int32):
            raise ValueError(f"prefix_ids are {prefix_ids.dtype}: give torch.int64")
        if prefix_ids.device != self.device:
            raise ValueError(f"prefix_ids are on {prefix_ids.device}, the model on {self.device}: move one of them")
        smallest, largest = (int(value) for value in prefix_ids.aminmax())
        if smallest < 0 or largest >= self.config.vocab_size:
            wrong = smallest if smallest < 0 else largest
            raise ValueError(f"prefix_ids contain {wrong}: token ids go from 0 to {self.config.vocab_size - 1}")

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
        state_dict = state_dict or self.state_dict()
        # Tied weights have the same address, so they stay tied.
        contiguous = {tensor.data_ptr(): tensor.contiguous() for tensor in state_dict.values()}
        state_dict = {name: contiguous[tensor.data_ptr()] for name, tensor in state_dict.items()}
        super().save_pretrained(save_directory, state_dict=state_dict, **kwargs)


AutoConfig.register(LSTMConfig.model_type, LSTMConfig)
AutoModelForCausalLM.register(LSTMConfig, LSTMLM)


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
    torch.save(model.state_dict(), run_dir / "model.pt")
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
    model.generation_config.min_new_tokens = 1
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
        model.load_state_dict(torch.load(weights_path, map_location="cpu", weights_only=True))
    except Exception as error:  # torch raises errors of many types for a broken file.
        # Some of its messages advise to read the file without this check, which would run code from it.
        reason = "it is no file of weights alone" if "weights_only" in str(error) else _first_line(error)
        raise RunError(f"{weights_path} does not hold this model's weights ({reason}): restore the file") from None
    if not all(parameter.isfinite().all() for parameter in model.parameters()):
        raise RunError(f"{weights_path} holds weights that are not finite: the training run failed, choose another")
    return model


def _load_tokenizer(run_dir: Path) -> PreTrainedTokenizerBase:
    try:
        return AutoTokenizer.from_pretrained(run_dir)
    except Exception as error:  # The library raises no narrower type for a broken file.
        message = f"{run_dir} has no tokenizer that can be read ({_first_line(error)}): restore its files"
        raise RunError(message) from error


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
