"""Load raw tweets, assign them to splits, and train the tokenizer."""

from src.corpus.load import Corpus, load_corpus, read_corpus, read_sentiment140
from src.corpus.rows import CorpusFormatError
from src.corpus.tokenization import train_tokenizer

__all__ = ["Corpus", "CorpusFormatError", "load_corpus", "read_corpus", "read_sentiment140", "train_tokenizer"]
