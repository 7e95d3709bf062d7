"""The recurrent part of the LSTM language model: sizes, weights and the pass over padded batches."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import linear
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.utils import ModelOutput

State = tuple[torch.Tensor, torch.Tensor]


class LSTMConfig(PreTrainedConfig):
    """Sizes of an `LSTMLM`. Dropouts are probabilities; 0 is off."""

    model_type = "lstm_lm"

    vocab_size: int = 12_000
    embedding_dim: int = 256
    hidden_dim: int = 640
    num_layers: int = 1
    dropout: float = 0.1
    pad_token_id: int | None = 0
    eos_token_id: int | None = 2
    tie_word_embeddings: bool = True


@dataclass
class LSTMOutput(ModelOutput):
    """Output of the backbone or of the whole model.

    Attributes:
        logits: [batch, length, vocab]; None from the backbone.
        last_hidden_state: [batch, length, embedding_dim], what the output layer reads.
        state: hidden and cell state after the last real token, each [layers, batch, hidden_dim].
    """

    logits: torch.Tensor | None = None
    last_hidden_state: torch.Tensor | None = None
    state: State | None = None


class LSTMPreTrainedModel(PreTrainedModel):
    """What the backbone and the whole model share: their configuration and how weights start."""

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
                    # An open forget gate at the start (Jozefowicz et al., 2015).
                    with torch.no_grad():
                        parameter[module.hidden_size : 2 * module.hidden_size].fill_(1.0)
                elif "bias_hh" in name:
                    nn.init.zeros_(parameter)


class LSTMBackbone(LSTMPreTrainedModel):
    """Token ids to hidden states: embedding, LSTM, projection back to the embedding's size."""

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

    def get_input_embeddings(self) -> nn.Embedding:
        return self.embedding

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        self.embedding = value

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        state: State | None = None,
    ) -> LSTMOutput:
        """Run the recurrence over the real tokens only.

        A pad, on either side, is never fed: the real tokens of a row are moved to its left
        and packed, and the outputs moved back. A pad behind a token repeats that token's
        output, so `logits[:, -1]` predicts the next token whichever side the padding is on.

        Args:
            input_ids: int64 [batch, length].
            attention_mask: [batch, length], 1 for a token and 0 for a pad; None: no pads.
            state: to go on from; None starts from zeros.
        """
        if attention_mask is None or bool(attention_mask.all()):
            embedded = self.dropout(self.embedding(input_ids))
            is_short = 1 in input_ids.shape and not self.training and embedded.device.type == "cpu"
            output, state = self._token_by_token(embedded, state) if is_short else self.lstm(embedded, state)
            return LSTMOutput(last_hidden_state=self.dropout(self.projection(output)), state=state)
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

    def _token_by_token(self, embedded: torch.Tensor, state: State | None) -> tuple[torch.Tensor, State]:
        """`self.lstm` for one row, or for one token of each, where oneDNN would rearrange all weights first."""
        if state is None:
            state = (embedded.new_zeros(self.lstm.num_layers, len(embedded), self.lstm.hidden_size),) * 2
        output, last = embedded, []
        for (weight_ih, weight_hh, bias_ih, bias_hh), hidden, cell in zip(self.lstm.all_weights, *state):
            outputs = []
            for from_input in linear(output, weight_ih, bias_ih + bias_hh).unbind(dim=1):
                scores = torch.addmm(from_input, hidden, weight_hh.t())
                new = scores.chunk(4, dim=1)[2].tanh()
                in_gate, forget_gate, _, out_gate = scores.sigmoid_().chunk(4, dim=1)
                cell = torch.addcmul(forget_gate * cell, in_gate, new)
                hidden = out_gate * cell.tanh()
                outputs.append(hidden)
            output = torch.stack(outputs, dim=1)
            last.append((hidden, cell))
        return output, tuple(torch.stack(part) for part in zip(*last))


def lay_out_for_few_rows(model: nn.Module) -> None:
    """Store every matrix of a model column by column, in place; its values stay what they are.

    A product with one row, or a few, is then up to four times as fast on a CPU: MKL reads a matrix that is stored
    row by row at a fraction of the memory's speed.
    """
    for parameter in model.parameters():
        if parameter.dim() == 2:
            parameter.data = parameter.data.t().contiguous().t()
