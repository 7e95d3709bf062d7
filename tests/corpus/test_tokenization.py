"""Train, use and save the WordPiece tokenizer."""

import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders
from transformers import AutoTokenizer

from src.corpus.tokenization import EOS, PAD, UNK, load_tokenizer, save_tokenizer, train_tokenizer
from src.data_utils import clean_string
from src.examples import MESSY_TWEETS, TWEETS

cleaned = st.text(string.ascii_lowercase + string.digits + " ", max_size=60).map(clean_string)


def in_order(tokenizer):
    return tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))


def test_any_cleaned_text_is_encoded_without_unknowns_and_decoded_to_itself(tokenizer):
    @given(cleaned)
    def check(text):
        ids = tokenizer(text)["input_ids"]
        assert tokenizer.decode(ids) == text
        assert not set(ids) & set(tokenizer.all_special_ids)

    check()


@pytest.mark.parametrize(
    "text", ["", "zq" * 140, *string.ascii_lowercase, *string.digits, *map(clean_string, MESSY_TWEETS)]
)
def test_awkward_texts_are_decoded_to_themselves(tokenizer, text):
    ids = tokenizer(text)["input_ids"]
    assert tokenizer.decode(ids) == text
    assert not set(ids) & set(tokenizer.all_special_ids)


def test_a_text_that_is_decoded_in_two_halves_shows_no_marks_of_tokens(tokenizer):
    ids = st.lists(st.integers(0, len(tokenizer) - 1), max_size=12)

    @given(ids, ids)
    def check(prefix, continuation):
        complete = tokenizer.decode(prefix + continuation)
        halves = tokenizer.decode(prefix), tokenizer.decode(continuation)
        assert "##" not in "".join(halves) + complete
        inside_a_word = "##" in "".join(tokenizer.convert_ids_to_tokens(continuation[:1]))
        assert complete == ("" if inside_a_word or "" in halves else " ").join(halves)

    check()


def test_a_tokenizer_of_an_earlier_run_is_decoded_like_a_new_one(tokenizer, tmp_path):
    save_tokenizer(tokenizer, tmp_path)
    stored = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    ids = [tokenizer.convert_tokens_to_ids(token) for token in ("##a", "##b", "the")]
    assert stored.decode(ids) == tokenizer.decode(ids) == "ab the"
    stored.decoder = decoders.WordPiece(prefix="##", cleanup=False)
    stored.save(str(tmp_path / "tokenizer.json"))
    assert AutoTokenizer.from_pretrained(tmp_path).decode(ids) == "##ab the"
    loaded = load_tokenizer(tmp_path)
    assert loaded.decode(ids) == "ab the"
    assert loaded.batch_decode([ids, ids[2:]]) == ["ab the", "the"]
    assert loaded.convert_tokens_to_string(["##a", "##b", "the"]) == "ab the"


def test_one_short_text_is_enough_to_encode_everything():
    tokenizer = train_tokenizer(["a a"], vocab_size=300)
    text = "the 39 quick brown foxes jump over 7 lazy dogs 0124568"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    assert len(tokenizer) < 300


def test_upper_case_is_lowered_and_frequent_words_are_one_token(tokenizer, cleaned_texts):
    assert tokenizer("THE Bus")["input_ids"] == tokenizer("the bus")["input_ids"]
    assert tokenizer.tokenize("to the the") == ["to", "the", "the"]
    assert len(tokenizer(" ".join(cleaned_texts))["input_ids"]) < len("".join(cleaned_texts)) / 2


def test_special_tokens_come_first_and_nothing_is_added_to_a_text(tokenizer):
    assert in_order(tokenizer)[:3] == [PAD, UNK, EOS]
    assert (tokenizer.pad_token_id, tokenizer.unk_token_id, tokenizer.eos_token_id) == (0, 1, 2)
    words = [id_ for word in ("so", "very", "happy") for id_ in tokenizer(word)["input_ids"]]
    assert tokenizer("so very happy")["input_ids"] == words
    assert tokenizer("so very happy", add_special_tokens=False)["input_ids"] == words


def test_padding_is_on_the_left(tokenizer):
    batch = tokenizer(["the bus", "the"], padding=True)
    assert sorted(batch) == ["attention_mask", "input_ids"]
    long, short = batch["input_ids"]
    assert short == [tokenizer.pad_token_id] * (len(long) - 1) + tokenizer("the")["input_ids"]
    assert batch["attention_mask"][1] == [0] * (len(long) - 1) + [1]


def test_training_twice_gives_the_same_vocabulary(cleaned_texts):
    vocabularies = [in_order(train_tokenizer(cleaned_texts, vocab_size=200)) for _ in range(4)]
    assert len(vocabularies[0]) == len(set(vocabularies[0])) == 200
    assert vocabularies[1:] == vocabularies[:1] * 3


def test_texts_may_come_from_a_generator():
    vocabulary = train_tokenizer(iter(TWEETS), vocab_size=150).get_vocab()
    assert vocabulary.keys() == train_tokenizer(list(TWEETS), vocab_size=150).get_vocab().keys()


def test_a_saved_tokenizer_is_the_same_when_loaded(tokenizer, cleaned_texts, tmp_path):
    save_tokenizer(tokenizer, tmp_path)
    files = {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"}
    assert files == {path.name for path in tmp_path.iterdir()}
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    texts = [*cleaned_texts, "zq" * 140]
    assert loaded(texts, padding=True).data == tokenizer(texts, padding=True).data
    assert loaded.batch_decode(loaded(texts)["input_ids"]) == texts
    assert loaded.special_tokens_map == tokenizer.special_tokens_map
    assert loaded.all_special_ids == tokenizer.all_special_ids
    assert (loaded.pad_token_id, loaded.eos_token_id, loaded.padding_side) == (0, 2, "left")


def test_saved_text_files_name_the_tokens(tokenizer, tmp_path):
    save_tokenizer(tokenizer, tmp_path)
    assert (tmp_path / "vocab.txt").read_text().splitlines() == in_order(tokenizer)
    special_tokens = json.loads((tmp_path / "special_tokens_map.json").read_text())
    assert special_tokens == {"pad_token": PAD, "unk_token": UNK, "bos_token": EOS, "eos_token": EOS}
