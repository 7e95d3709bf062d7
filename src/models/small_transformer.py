"""A transformer as small as the LSTM, trained from random weights with the LSTM's tokenizer.

It shows what the architecture alone is worth: the LSTM is compared with a transformer that has its size, tokenizer,
tweets, loss and training time, and no pretraining.

The layers are Llama's, from transformers. Their rotary positions (Su et al., 2021) have no weights and depend on the
distance between two tokens alone, so a model of short texts learns every distance from every tweet; GPT-2 has to learn
a vector for each position. The library also brings the attention cache, `generate`, saving and loading:
`src.models.pretrained` saves and loads the model as it does a pretrained one.
"""

import transformers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerBase

# With 12,000 tokens 5.5 million parameters, as the LSTM has; 3.1 of them are the embedding, which is the output layer.
SIZES = {
    "hidden_size": 256,
    "intermediate_size": 448,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 512,
}


def new_small_transformer(tokenizer: PreTrainedTokenizerBase, seed: int) -> LlamaForCausalLM:
    """Make an untrained transformer for a tokenizer, in training mode. Seeds Python, NumPy and torch.

    Args:
        tokenizer: a tokenizer with pad, beginning and end, see `src.corpus.tokenization.train_tokenizer`.
        seed: seed of the initial weights.
    """
    transformers.set_seed(seed)
    ids = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("pad", "bos", "eos")}
    # For tweets, plain matrix products are faster on a CPU than torch's fused attention.
    options = {"tie_word_embeddings": True, "attn_implementation": "eager"}
    return LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **SIZES, **ids, **options)).train()
