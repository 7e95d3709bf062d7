"""Fixture for the tests of this folder: an exported LSTM."""

import pytest
import torch

from src.deploy.export import export_onnx
from src.lstm_model import LSTMLM, LSTMConfig, save_lstm_lm

META = {"name": "lstm_lm", "created": "", "duration_seconds": 1, "settings": {}, "data": {}, "metrics": {}}


@pytest.fixture(scope="session", params=[1, 2], ids=["one_layer", "two_layers"])
def run_dir(request, tokenizer, tmp_path_factory):
    """An exported run of a model whose predictions differ clearly from token to token."""
    torch.manual_seed(0)
    sizes = {"embedding_dim": 16, "hidden_dim": 24, "num_layers": request.param}
    model = LSTMLM(LSTMConfig(vocab_size=len(tokenizer), eos_token_id=tokenizer.eos_token_id, **sizes))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    folder = tmp_path_factory.mktemp("run")
    save_lstm_lm(folder, model, tokenizer, {**META, "versions": {}, "git_commit": None}, [])
    export_onnx(folder)
    return folder
