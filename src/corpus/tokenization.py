"""A WordPiece tokenizer trained on the training texts (Schuster and Nakajima, 2012)."""

import string
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from src.files import write_json

PAD, UNK, EOS = "[PAD]", "[UNK]", "[EOS]"
# Far above any word of a tweet: a word is spelt out in pieces and never becomes [UNK] for its length.
MAX_CHARACTERS_PER_WORD = 1000


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> PreTrainedTokenizerFast:
    """Train a lower-casing WordPiece tokenizer on cleaned texts.

    Every letter and digit is a piece of its own, at the start of a word and inside it, so
    any cleaned text can be encoded without [UNK]. No special token is added when
    encoding. Pads on the left, as generation from a batch of prefixes needs it.

    Args:
        texts: cleaned training texts.
        vocab_size: number of pieces with the three special ones; fewer if the texts have fewer.
    """
    alphabet = string.ascii_lowercase + string.digits
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        # Named as special, every character inside a word gets a fixed id. The trainer would number
        # them in random order and break ties by these ids: the same texts, another vocabulary.
        special_tokens=[PAD, UNK, EOS, *(f"##{character}" for character in alphabet)],
        initial_alphabet=list(alphabet),
        show_progress=False,
    )
    trained = _wordpiece({UNK: 0})
    trained.train_from_iterator(texts, trainer)
    # A new tokenizer over the same pieces, to which only the three real special tokens are special.
    tokenizer = _wordpiece(trained.get_vocab())
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        unk_token=UNK,
        eos_token=EOS,
        padding_side="left",
        model_input_names=["input_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
    )


def _wordpiece(vocab: dict[str, int]) -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token=UNK, max_input_chars_per_word=MAX_CHARACTERS_PER_WORD))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.decoder = decoders.WordPiece(prefix="##", cleanup=False)
    return tokenizer


def save_tokenizer(tokenizer: PreTrainedTokenizerFast, folder: str | Path) -> None:
    """Write `tokenizer.json`, `tokenizer_config.json`, `special_tokens_map.json` and `vocab.txt`."""
    folder = Path(folder)
    tokenizer.save_pretrained(folder)
    tokenizer.backend_tokenizer.model.save(str(folder))
    write_json(folder / "special_tokens_map.json", tokenizer.special_tokens_map)


def encode(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> list[list[int]]:
    """Token ids of texts, without special tokens, cut or padded nowhere."""
    # Calling the tokenizer itself would also make offsets and masks, which nobody reads.
    backend = tokenizer.backend_tokenizer
    backend.no_padding()
    backend.no_truncation()
    return [encoding.ids for encoding in backend.encode_batch_fast(texts, add_special_tokens=False)]
