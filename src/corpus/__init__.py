"""Where raw tweets come from, how they are split, and how they become token ids."""

from src.corpus.load import Corpus, load_corpus, read_sentiment140
from src.corpus.sentiment140 import CorpusFormatError
from src.corpus.tokenization import train_tokenizer

__all__ = ["Corpus", "CorpusFormatError", "load_corpus", "read_sentiment140", "train_tokenizer"]
