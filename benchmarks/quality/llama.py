"""llama.cpp, which runs models in 4 bits on a CPU, as another form of SmolLM2.

`pip install llama-cpp-python` compiles it in some minutes; it needs a C++ compiler.
"""

import ctypes
import importlib
from collections.abc import Sequence
from functools import partial
from itertools import takewhile
from pathlib import Path

import gguf
import numpy as np
import pandas as pd
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerBase

from src.evaluation.systems import NEXT_WORD_TOKENS, NUM_NEXT_WORDS, as_pairs, likelihood_table, progress
from src.text.calibration import IDENTITY
from src.text.word_search import TokenPath, WordSearch, softmax
from src.text.word_starts import WordStarts

# The formats of llama.cpp, by its numbers.
FORMATS = {"Q8_0": 7, "Q4_1": 3, "Q4_K_M": 15}
MAX_TOKENS = 256


class NotInstalledError(ImportError):
    """llama.cpp is not installed; the message says how to install it."""


def load_library():
    """The module `llama_cpp`, which prints nothing but errors.

    Raises:
        NotInstalledError: it is not installed.
    """
    try:
        library = importlib.import_module("llama_cpp")
    except ImportError as error:
        raise NotInstalledError(f"llama.cpp is not installed ({error}): run pip install llama-cpp-python") from error
    library.llama_log_set(SILENCE, None)
    return library


# llama.cpp keeps the function, so it must live as long as the process.
SILENCE = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(lambda *_: None)


def write_gguf(model: LlamaForCausalLM, path: Path) -> None:
    """Write a model in float32 as llama.cpp reads it, without its tokenizer."""
    config = model.config
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_tokenizer_model("none")
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    for name, weight in model.named_parameters():
        array = weight.detach().float().numpy()
        for layer, num_heads in heads.items():
            if layer in name:
                # llama.cpp rotates pairs of neighbours; transformers rotates the halves of a head.
                halves = array.reshape(num_heads, 2, -1, array.shape[1])
                array = np.ascontiguousarray(halves.swapaxes(1, 2)).reshape(array.shape)
        writer.add_tensor(names.get_name(name, try_suffixes=(".weight",)), array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def quantise_gguf(source: Path, target: Path, name: str) -> None:
    """Write a model in one of `FORMATS`.

    Raises:
        RuntimeError: llama.cpp can't quantise it.
    """
    library = load_library()
    options = library.llama_model_quantize_default_params()
    options.ftype, options.nthread = FORMATS[name], 1
    if library.llama_model_quantize(bytes(source), bytes(target), ctypes.byref(options)):
        raise RuntimeError(f"llama.cpp can't write {source.name} as {name}")


class PathReader:
    """Reads one prompt and tokens after it with a `LlamaCpp`: a `src.text.word_search.Reader`."""

    def __init__(self, model: "LlamaCpp", prompt: list[int]):
        self.model, self.prompt = model, prompt

    def knows(self, path: TokenPath) -> bool:
        return not path.token_ids

    def read(self, paths: Sequence[TokenPath]) -> list[np.ndarray]:
        return [softmax(self.model.read([*self.prompt, *path.token_ids])[None])[0] for path in paths]


class LlamaCpp:
    """A model in llama.cpp on one thread, which reads one text at a time.

    Args:
        path: a file of `write_gguf` or `quantise_gguf`.
        tokenizer: the model's tokenizer.

    Raises:
        NotInstalledError: llama.cpp is not installed.
        RuntimeError: it can't load the file.
    """

    def __init__(self, path: Path, tokenizer: PreTrainedTokenizerBase):
        self.library, self.tokenizer = load_library(), tokenizer
        self.model = self.library.llama_model_load_from_file(bytes(path), self.library.llama_model_default_params())
        options = self.library.llama_context_default_params()
        options.n_ctx = options.n_batch = MAX_TOKENS
        options.n_threads = options.n_threads_batch = 1
        self.context = self.model and self.library.llama_init_from_model(self.model, options)
        if not self.context:
            raise RuntimeError(f"llama.cpp can't load {path}")
        self.tokens: list[int] = []
        starts = WordStarts(tokenizer.convert_ids_to_tokens(range(len(tokenizer))), tokenizer.all_special_tokens)
        self.word_search = WordSearch(starts, tokenizer.eos_token_id)

    def read(self, tokens: Sequence[int]) -> np.ndarray:
        """Return the logits after the tokens of a text, float32 [vocab]; what it has read of them is not read again."""
        same = len(list(takewhile(lambda pair: pair[0] == pair[1], zip(self.tokens, tokens))))
        # The logits after the last token are computed again.
        same = min(same, len(tokens) - 1)
        self.library.llama_memory_seq_rm(self.library.llama_get_memory(self.context), 0, same, -1)
        new = (self.library.llama_token * (len(tokens) - same))(*tokens[same:])
        if self.library.llama_decode(self.context, self.library.llama_batch_get_one(new, len(new))):
            raise RuntimeError(f"llama.cpp can't read {len(tokens)} tokens")
        self.tokens = list(tokens)
        logits = self.library.llama_get_logits_ith(self.context, -1)
        return np.ctypeslib.as_array(logits, shape=(len(self.tokenizer),)).copy()

    def ids(self, text: str) -> list[int]:
        return [self.tokenizer.bos_token_id, *self.tokenizer.encode(text, add_special_tokens=False)]

    def next_words(self, prefixes: Sequence[str]) -> list[list[str]]:
        """The most probable next words of each prefix, as `src.evaluation.systems.System` says."""
        return [self._next_words(prefix) for prefix in progress(prefixes, "completing")]

    def _next_words(self, prefix: str) -> list[str]:
        reader = PathReader(self, self.ids(prefix))
        [found] = self.word_search.suggest(reader, [""], NUM_NEXT_WORDS, NEXT_WORD_TOKENS)
        decode = partial(self.tokenizer.decode, skip_special_tokens=True)
        return [suggestion.completion(decode, IDENTITY).text.split(" ")[0] for suggestion in found]

    def likelihood(self, texts: Sequence[str]) -> pd.DataFrame:
        """The table of `src.evaluation.systems.target_likelihood`."""
        return likelihood_table(texts, np.array([self._target_nll(text) for text in progress(texts, "scoring")]))

    def _target_nll(self, text: str) -> float:
        [pair] = as_pairs([text])
        ids, nll = [*self.ids(text), self.tokenizer.eos_token_id], 0.0
        for end in range(len(self.ids(pair.context)), len(ids)):
            log_probabilities = torch.from_numpy(self.read(ids[:end])).log_softmax(dim=0)
            nll -= float(log_probabilities[ids[end]])
        return nll

    def suggest(self, prefix: str, num_tokens: int) -> list[int]:
        """Continue a prefix greedily with exactly this many tokens."""
        ids = self.ids(prefix)
        for _ in range(num_tokens):
            logits = self.read(ids)
            logits[self.tokenizer.eos_token_id] = -np.inf
            ids.append(int(logits.argmax()))
        return ids[-num_tokens:]
