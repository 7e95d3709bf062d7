"""A fine-tuned transformer that was exported to ONNX in int8, with the interface of the model in torch."""

from pathlib import Path

import onnxruntime
import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    Cache,
    DynamicCache,
    GenerationConfig,
    GenerationMixin,
    PreTrainedModel,
)
from transformers.modeling_outputs import CausalLMOutputWithPast
from transformers.utils import can_return_tuple

from src.deploy.onnx_lstm import INT8_FILE
from src.next_token_dataset import IGNORE_INDEX


class OnnxTransformer(PreTrainedModel, GenerationMixin):
    """An exported transformer, which `Completer`, `ModelSystem` and `generate` can use like the model in torch.

    It only predicts: it has no parameters that could be trained.

    Args:
        run_dir: a run folder of the transformer to which `src.deploy.export_transformer` has written the model.
        file: name of the exported model in this folder, or its absolute path.

    Raises:
        FileNotFoundError: the model has not been exported yet.
    """

    # The configuration asks for SDPA attention, and transformers refuses a model without this flag.
    _supports_sdpa = True

    def __init__(self, run_dir: str | Path, file: str | Path = INT8_FILE):
        path = Path(run_dir) / file
        if not path.is_file():
            advice = f"write it with src.deploy.export_transformer.export_transformer({str(run_dir)!r})"
            raise FileNotFoundError(f"There is no {path}: {advice}")
        super().__init__(AutoConfig.from_pretrained(run_dir))
        self.generation_config = GenerationConfig.from_pretrained(run_dir)
        options = onnxruntime.SessionOptions()
        # As for the exported LSTM, the other cores stay free for the application.
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(path, options)
        self.past = {one.name: one.shape for one in self.session.get_inputs() if one.name.startswith("past.")}
        self.eval()

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    @property
    def dtype(self) -> torch.dtype:
        """That of the logits."""
        return torch.float32

    def num_parameters(self, only_trainable: bool = False, exclude_embeddings: bool = False) -> int:
        """The number of parameters that the model has in torch, whatever is asked for."""
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(self.config).num_parameters()

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        past_key_values: Cache | None = None,
        logits_to_keep: int = 0,
        use_cache: bool = True,
    ) -> CausalLMOutputWithPast:
        """Next-token logits.

        Args:
            input_ids: int64 [batch, length].
            attention_mask: int64 [batch, cached + length], 1 for a token and 0 for a pad; None: no pads.
            position_ids: int64 [batch, length]; None: as the mask counts them.
            past_key_values: what the model has read before; it is left as it is.
            logits_to_keep: number of last positions to return; 0 returns all.
            use_cache: there is always a cache in the output.

        Returns:
            `logits`, float32 [batch, positions, vocab], and `past_key_values` after these tokens.

        Raises:
            ValueError: `use_cache` is False.
        """
        if not use_cache:
            raise ValueError("use_cache=False is not supported by an exported model: leave it out")
        rows, length = input_ids.shape
        kept = range(length)[-logits_to_keep:]
        places = torch.tensor([row * length + position for row in range(rows) for position in kept])
        logits, cache = self._read(input_ids, places, attention_mask, position_ids, past_key_values)
        return CausalLMOutputWithPast(logits=logits.view(rows, len(kept), -1), past_key_values=cache)

    def target_log_probabilities(self, input_ids: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Log-probability of every target token, as in `KneserNeyLM.target_log_probabilities`."""
        is_target = labels != IGNORE_INDEX
        # Pads come after all tokens of their row, where a causal model does not see them: no mask is needed.
        logits, _ = self._read(input_ids, is_target.flatten().nonzero()[:, 0])
        return logits.log_softmax(dim=1).gather(1, labels[is_target][:, None])[:, 0]

    def _read(
        self,
        input_ids: torch.Tensor,
        places: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        past_key_values: Cache | None = None,
    ) -> tuple[torch.Tensor, DynamicCache]:
        """Return logits, float32 [places, vocab], at some places of the flattened `input_ids`, and the cache."""
        rows, length = input_ids.shape
        num_cached = past_key_values.get_seq_length() if past_key_values is not None else 0
        if attention_mask is None:
            attention_mask = torch.ones(rows, num_cached + length, dtype=torch.long)
        if position_ids is None:
            position_ids = (attention_mask.cumsum(dim=1) - 1).clamp(min=0)[:, -length:]
        if num_cached:
            tensors = [tensor for layer in past_key_values.layers for tensor in (layer.keys, layer.values)]
        else:
            tensors = [torch.zeros(rows, shape[1], 0, shape[3]) for shape in self.past.values()]
        inputs = {
            "input_ids": input_ids,
            "position_ids": position_ids.expand(rows, length),
            "bias": attention_bias(attention_mask, length),
            "places": places,
            **dict(zip(self.past, tensors)),
        }
        outputs = self.session.run(None, {name: tensor.numpy() for name, tensor in inputs.items()})
        logits, *present = map(torch.from_numpy, outputs)
        return logits, DynamicCache(list(zip(present[::2], present[1::2])))


def attention_bias(attention_mask: torch.Tensor, length: int) -> torch.Tensor:
    """What is added to the attention scores, so that no token sees pads or later tokens.

    Args:
        attention_mask: int64 [batch, total], 1 for a token and 0 for a pad.
        length: number of the last tokens, which are read now.

    Returns:
        float32 [batch, 1, length, total].
    """
    total = attention_mask.shape[1]
    is_past = torch.ones(length, total, dtype=torch.bool).tril(total - length)
    is_visible = attention_mask[:, None, None, :].bool() & is_past
    return torch.zeros(is_visible.shape).masked_fill(~is_visible, torch.finfo(torch.float32).min)
