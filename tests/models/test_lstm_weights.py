import torch

from src.lstm_model import LSTMLM, LSTMConfig, load_lstm_lm, save_lstm_lm
from src.models.lstm_weights import round_to_half
from src.runs import run_metadata


def test_rounded_weights_take_half_the_space_and_are_read_exactly(tmp_path, tokenizer):
    torch.manual_seed(0)
    model = LSTMLM(LSTMConfig(vocab_size=len(tokenizer), embedding_dim=32, hidden_dim=48)).eval()
    meta = run_metadata("lstm_lm", {}, {"name": "tweets"}, {}, duration=1.0)
    for name in ("exact", "rounded"):
        (tmp_path / name).mkdir()
    save_lstm_lm(tmp_path / "exact", model, tokenizer, meta, [])
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    round_to_half(model)
    save_lstm_lm(tmp_path / "rounded", model, tokenizer, meta, [])
    sizes = [(tmp_path / name / "model.pt").stat().st_size for name in ("exact", "rounded")]
    assert sizes[1] < 0.6 * sizes[0]
    loaded = load_lstm_lm(tmp_path / "rounded", "cpu")[1].state_dict()
    for name, tensor in model.state_dict().items():
        assert loaded[name].dtype == torch.float32 and torch.equal(loaded[name], tensor)
        torch.testing.assert_close(tensor, before[name], rtol=2**-10, atol=1e-6)
