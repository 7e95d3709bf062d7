"""A WordPiece tokenizer trained on the training texts (Schuster and Nakajima, 2012)."""

import string
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from src.files import write_json

PAD, UNK, EOS = "[PAD]", "[UNK]", "[EOS]"
# Longer than any word of a tweet, so that no word becomes [UNK] because of its length.
MAX_CHARACTERS_PER_WORD = 1000


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> PreTrainedTokenizerFast:
    """Train a lower-casing WordPiece tokenizer on cleaned texts.

    Every letter and digit is a token, at the start of a word and inside it, so any cleaned
    text can be encoded without [UNK]. Encoding adds no special tokens. Padding is on the
    left, as generation from a batch of prefixes needs it.

    Args:
        texts: cleaned training texts.
        vocab_size: number of tokens, including three special ones; fewer if the texts yield fewer.
    """
    alphabet = string.ascii_lowercase + string.digits
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        # As special tokens, characters inside words get fixed ids. Otherwise the trainer numbers them
        # in random order and breaks ties by these ids, so the same texts would give different vocabularies.
        special_tokens=[PAD, UNK, EOS, *(f"##{character}" for character in alphabet)],
        initial_alphabet=list(alphabet),
        show_progress=False,
    )
    trained = _wordpiece({UNK: 0})
    trained.train_from_iterator(texts, trainer)
    # In a new tokenizer with the same vocabulary, only the three real special tokens are special.
    tokenizer = _wordpiece(trained.get_vocab())
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        unk_token=UNK,
        # Every tweet begins after the end of another.
        bos_token=EOS,
        eos_token=EOS,
        padding_side="left",
        model_input_names=["input_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
    )


def _wordpiece(vocab: dict[str, int]) -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token=UNK, max_input_chars_per_word=MAX_CHARACTERS_PER_WORD))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.decoder = _decoder()
    return tokenizer


def _decoder() -> decoders.Decoder:
    """Join tokens to words. A text that begins inside a word, such as a continuation alone, shows no "##"."""
    # The first of these leaves the first token as it is.
    return decoders.Sequence([decoders.WordPiece(prefix="##", cleanup=False), decoders.Replace(Regex("^##"), "")])


def save_tokenizer(tokenizer: PreTrainedTokenizerFast, folder: str | Path) -> None:
    """Write `tokenizer.json`, `tokenizer_config.json`, `special_tokens_map.json` and `vocab.txt`."""
    folder = Path(folder)
    tokenizer.save_pretrained(folder)
    tokenizer.backend_tokenizer.model.save(str(folder))
    write_json(folder / "special_tokens_map.json", tokenizer.special_tokens_map)


def load_tokenizer(folder: str | Path) -> PreTrainedTokenizerBase:
    """Read the files of `save_tokenizer`."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    # Earlier runs store a decoder that keeps the "##" of a first token.
    tokenizer.backend_tokenizer.decoder = _decoder()
    return tokenizer


def encode(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> list[list[int]]:
    """Return the token ids of texts, without special tokens, truncation or padding."""
    # Calling the tokenizer itself would also build offsets and masks, which are not needed.
    backend = tokenizer.backend_tokenizer
    backend.no_padding()
    backend.no_truncation()
    return [encoding.ids for encoding in backend.encode_batch_fast(texts, add_special_tokens=False)]
