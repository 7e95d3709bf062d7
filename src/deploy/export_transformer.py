"""Export a fine-tuned transformer for onnxruntime: `model.int8.onnx`, a quarter of its size.

The weights of every linear layer are stored in 8 bits, with one scale for each block of a row. onnxruntime quantises
the inputs block by block too, while it computes. Its dynamic quantisation, which the LSTM's export uses, has one scale
for all inputs of a layer. In a transformer a few inputs are far larger than the rest, and one scale loses the small
ones (`benchmarks/RESULTS.md`).
"""

import warnings
from collections.abc import Sequence
from math import gcd
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from transformers import DynamicCache, PreTrainedModel

from src.deploy.onnx_lstm import INT8_FILE, ONNX_FILE
from src.files import explain_full_disk, publish, temporary_folder
from src.models.pretrained import load_pretrained

OPSET = 17
DOMAIN = "com.microsoft"
# Weights that share a scale. onnxruntime knows powers of two from 16.
MAX_BLOCK, MIN_BLOCK = 64, 16
# onnxruntime computes with inputs in 8 bits.
INT8_INPUTS = 4
ZERO = 128  # the byte that stands for 0


class PlacedLogits(torch.nn.Module):
    """The module that is exported: logits at some places, and the cache."""

    def __init__(self, model: PreTrainedModel):
        super().__init__()
        self.decoder, self.lm_head = model.base_model, model.get_output_embeddings()

    def forward(
        self,
        input_ids: torch.Tensor,
        position_ids: torch.Tensor,
        bias: torch.Tensor,
        places: torch.Tensor,
        *past: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        """Read tokens.

        Args:
            input_ids, position_ids: int64 [rows, length].
            bias: float32 [rows, 1, length, cached + length], added to the attention scores.
            places: int64 [places], where logits are wanted in the flattened `input_ids`.
            *past: keys and values of each layer in turn, float32 [rows, heads, cached, head width].

        Returns:
            logits, float32 [places, vocab], and keys and values after these tokens.
        """
        cache = DynamicCache(list(zip(past[::2], past[1::2])))
        output = self.decoder(
            input_ids=input_ids, position_ids=position_ids, attention_mask=bias, past_key_values=cache, use_cache=True
        )
        logits = self.lm_head(output.last_hidden_state.flatten(0, 1)[places])
        return logits, *(tensor for layer in cache.layers for tensor in (layer.keys, layer.values))


def export_transformer(run_dir: str | Path) -> Path:
    """Write `model.int8.onnx` into the folder of a transformer's run.

    In between, the folder needs room for the model in float32.

    Returns:
        the path of the file.

    Raises:
        OSError, RunError: the folder is no complete run, as from `load_pretrained`.
        ValueError: the embedding is not the output layer's, or the widths of the layers have no common block.
        WriteError: the disk is full, or the folder can't be written.
    """
    run_dir = Path(run_dir)
    model = load_pretrained(run_dir, device="cpu").model
    if model.get_input_embeddings().weight is not model.get_output_embeddings().weight:
        raise ValueError(f"the model in {run_dir} has separate weights for its output layer: export one that ties them")
    with temporary_folder(run_dir) as folder, explain_full_disk(run_dir):
        export_float32(model, folder / ONNX_FILE)
        quantise_blocks(folder / ONNX_FILE, folder / INT8_FILE)
        return publish(folder / INT8_FILE, run_dir / INT8_FILE)


def export_float32(model: PreTrainedModel, path: Path) -> None:
    """Write the ONNX graph of `PlacedLogits(model)` to `path`."""
    config = model.config
    heads = getattr(config, "num_key_value_heads", config.num_attention_heads)
    # Each number of the example is another one, so that the exporter takes none for granted.
    past = [torch.zeros(2, heads, 4, config.hidden_size // config.num_attention_heads)] * 2 * config.num_hidden_layers
    names = [f"{i}.{kind}" for i in range(config.num_hidden_layers) for kind in ("key", "value")]
    ids, positions = torch.zeros(2, 3, dtype=torch.long), torch.arange(4, 7).repeat(2, 1)
    inputs = {"input_ids": {1: "length"}, "position_ids": {1: "length"}, "bias": {2: "length", 3: "total"}}
    axes = {name: {0: "rows", **others} for name, others in inputs.items()}
    axes |= {"places": {0: "places"}, "logits": {0: "places"}}
    axes |= {f"{when}.{name}": {0: "rows", 2: when} for when in ("past", "present") for name in names}
    attention = config._attn_implementation
    # Other ways to attend are not written as plain matrix products.
    model.set_attn_implementation("eager")
    with warnings.catch_warnings():
        # As for the LSTM, the deprecated exporter is used: its successor needs one more package.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            PlacedLogits(model).eval(),
            (ids, positions, torch.zeros(2, 1, 3, 7), torch.tensor([2, 5]), *past),
            path,
            dynamo=False,
            opset_version=OPSET,
            input_names=["input_ids", "position_ids", "bias", "places", *(f"past.{name}" for name in names)],
            output_names=["logits", *(f"present.{name}" for name in names)],
            dynamic_axes=axes,
        )
    model.set_attn_implementation(attention)


def quantise_blocks(source: Path, target: Path) -> None:
    """Quantise the weights of all linear layers to int8 in blocks.

    Args:
        source: the float32 model.
        target: path of the int8 model.

    Raises:
        ValueError: the widths of the model's layers have no common block.
    """
    model = onnx.load(source)
    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    layers = [node for node in graph.node if node.op_type in ("MatMul", "Gemm") and node.input[1] in weights]
    widths = [weights[node.input[1]].dims[0] for node in layers]
    block = gcd(MAX_BLOCK, *widths)
    if block < MIN_BLOCK:
        raise ValueError(f"the model's layers are {sorted(set(widths))} wide: int8 needs multiples of {MIN_BLOCK}")
    replaced = {node.output[0]: int8_layer(graph, node, weights[node.input[1]], block) for node in layers}
    [output_layer] = [node for node in layers if node.output[0] == "logits"]
    embedding_shape = weights[output_layer.input[1]].dims[::-1]
    [lookup] = [
        node
        for node in graph.node
        if node.op_type == "Gather" and node.input[0] in weights and weights[node.input[0]].dims == embedding_shape
    ]
    replaced[lookup.output[0]] = int8_lookup(graph, lookup, embedding_shape, block)
    nodes = [new for node in graph.node for new in replaced.get(node.output[0], [node])]
    del graph.node[:]
    graph.node.extend(nodes)
    used = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    model.opset_import.append(helper.make_opsetid(DOMAIN, 1))
    onnx.save(model, target)


def int8_layer(
    graph: onnx.GraphProto, node: onnx.NodeProto, weight: onnx.TensorProto, block: int
) -> list[onnx.NodeProto]:
    """Store the weight of a linear layer, float32 [inputs, outputs], in int8, and return the nodes that apply it."""
    [name] = node.output
    num_inputs, num_outputs = weight.dims
    blocks = numpy_helper.to_array(weight).T.reshape(num_outputs, -1, block)
    scales = np.abs(blocks).max(axis=2) / (ZERO - 1)
    # A block of zeros has any scale.
    scales[scales == 0] = 1
    integers = (np.rint(blocks / scales[:, :, None]) + ZERO).astype(np.uint8)
    stored = {f"{name}.weight": integers, f"{name}.scales": scales.astype(np.float32)}
    graph.initializer.extend(numpy_helper.from_array(array, key) for key, array in stored.items())
    bias = node.input[2:]
    product = f"{name}.product" if bias else name
    sizes = {"K": num_inputs, "N": num_outputs, "bits": 8, "block_size": block, "accuracy_level": INT8_INPUTS}
    multiply = helper.make_node("MatMulNBits", [node.input[0], *stored], [product], domain=DOMAIN, **sizes)
    return [multiply, *(helper.make_node("Add", [product, one], [name]) for one in bias)]


def int8_lookup(
    graph: onnx.GraphProto, lookup: onnx.NodeProto, shape: Sequence[int], block: int
) -> list[onnx.NodeProto]:
    """Return the nodes that read embeddings, [tokens, width], from the quantised output layer, which has the same."""
    graph.initializer.append(numpy_helper.from_array(np.array(shape), "embedding.shape"))
    inputs, options = ["embedding", lookup.input[1], "logits.scales"], {"bits": 8, "block_size": block}
    return [
        helper.make_node("Reshape", ["logits.weight", "embedding.shape"], ["embedding"]),
        helper.make_node("GatherBlockQuantized", inputs, lookup.output, domain=DOMAIN, quantize_axis=1, **options),
    ]
