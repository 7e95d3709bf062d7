"""Export the LSTM for onnxruntime: `model.onnx` in float32 and `model.int8.onnx`, a quarter of its size.

The same graph reads a prefix and takes a step. Its inputs are tokens of one or more texts and a state; its outputs are
the logits after the last tokens and the new state. The int8 model is quantised dynamically, with one scale for each
output of a matrix. It reads embeddings from the weights of the output layer, so that tied weights are stored once.
"""

import logging
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

from src.deploy.onnx_lstm import INT8_FILE, ONNX_FILE
from src.files import explain_full_disk, publish, temporary_folder
from src.lstm_model import LSTMLM, load_lstm_lm
from src.models.lstm_cpu import State

OPSET = 17
EMBEDDING = "backbone.embedding.weight"


class NextLogits(torch.nn.Module):
    """The module that is exported."""

    def __init__(self, model: LSTMLM):
        super().__init__()
        self.backbone, self.lm_head = model.backbone, model.lm_head

    def forward(self, input_ids: torch.Tensor, hidden: torch.Tensor, cell: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Read tokens.

        Args:
            input_ids: int64 [rows, length].
            hidden, cell: float32 [layers, rows, hidden_dim].

        Returns:
            logits after the last token, float32 [rows, vocab], and the new `hidden` and `cell`.
        """
        output, state = self.backbone.lstm(self.backbone.embedding(input_ids), (hidden, cell))
        return self.lm_head(self.backbone.projection(output[:, -1])), *state


def export_onnx(run_dir: str | Path) -> tuple[Path, Path]:
    """Write `model.onnx` and `model.int8.onnx` into the folder of an LSTM run.

    Returns:
        the two paths, float32 first.

    Raises:
        RunError: the folder is not a complete LSTM run.
        WriteError: the disk is full, or the folder can't be written.
    """
    run_dir = Path(run_dir)
    _, model, _, _ = load_lstm_lm(run_dir, device="cpu")
    with temporary_folder(run_dir) as folder, explain_full_disk(run_dir):
        export_float32(model, folder / ONNX_FILE)
        quantise(folder / ONNX_FILE, folder / INT8_FILE)
        return tuple(publish(folder / name, run_dir / name) for name in (ONNX_FILE, INT8_FILE))


def export_float32(model: LSTMLM, path: Path) -> None:
    """Write the ONNX graph of `NextLogits(model)` to `path`."""
    # Two rows: with one, the exporter would fix their number.
    state: State = (torch.zeros(model.config.num_layers, 2, model.config.hidden_dim),) * 2
    with warnings.catch_warnings():
        # This exporter is deprecated, but onnxruntime can't quantise the LSTM that its successor writes.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            NextLogits(model).eval(),
            (torch.zeros(2, 3, dtype=torch.long), *state),
            path,
            dynamo=False,
            opset_version=OPSET,
            input_names=["input_ids", "hidden", "cell"],
            output_names=["logits", "next_hidden", "next_cell"],
            dynamic_axes={
                "input_ids": {0: "rows", 1: "length"},
                **{name: {1: "rows"} for name in ("hidden", "cell", "next_hidden", "next_cell")},
                "logits": {0: "rows"},
            },
        )


def quantise(source: Path, target: Path) -> None:
    """Quantise the weights of LSTM, projection and output layer to int8, and drop those of the embedding.

    Args:
        source: the float32 model.
        target: path of the int8 model.
    """
    # On the root logger, onnxruntime advises to preprocess the graph first. That gains nothing here.
    silence = logging.Filter("nobody")
    logging.getLogger().addFilter(silence)
    try:
        quantize_dynamic(
            source,
            target,
            weight_type=QuantType.QInt8,
            per_channel=True,
            op_types_to_quantize=["LSTM", "MatMul", "Gemm"],
        )
    finally:
        logging.getLogger().removeFilter(silence)
    model = onnx.load(target)
    share_embedding(model.graph)
    onnx.checker.check_model(model)
    onnx.save(model, target)


def share_embedding(graph: onnx.GraphProto) -> None:
    """Read embeddings from the columns of the quantised output layer, and drop the float32 embedding."""
    stored = {tensor.name: tensor for tensor in graph.initializer}
    [lookup] = [node for node in graph.node if node.op_type == "Gather" and node.input[0] == EMBEDDING]
    [weight_name] = [name for name in stored if name.startswith(EMBEDDING) and name.endswith("_quantized")]
    scale_name = weight_name.removesuffix("_quantized") + "_scale"
    ids, embedded = lookup.input[1], lookup.output[0]
    nodes = [
        helper.make_node("Gather", [weight_name, ids], ["columns"], axis=1),
        helper.make_node("Transpose", ["columns"], ["rows"], perm=[1, 2, 0]),
        helper.make_node("Cast", ["rows"], ["integers"], to=TensorProto.FLOAT),
        helper.make_node("Gather", [scale_name, ids], ["scales"]),
        helper.make_node("Unsqueeze", ["scales", "last_axis"], ["row_scales"]),
        helper.make_node("Mul", ["integers", "row_scales"], [embedded]),
    ]
    position = list(graph.node).index(lookup)
    graph.node.remove(lookup)
    for i, node in enumerate(nodes):
        graph.node.insert(position + i, node)
    graph.initializer.remove(stored[EMBEDDING])
    graph.initializer.append(numpy_helper.from_array(np.array([-1]), "last_axis"))
