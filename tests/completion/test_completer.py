"""Completions: n different texts of complete words, scored correctly for every batch, model and tokenizer."""

import random
import string
from copy import deepcopy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from src.completion import completer as completion
from src.completion.completer import Completer, best_answers
from src.completion.decoding import GREEDY, WORDS, Decoding
from src.completion.prefix_memory import MAX_PREFIXES, MAX_TOKENS, PrefixMemory
from src.completion.word_constraint import barred, word_starts
from src.data_utils import clean_string
from tests.budget import examples
from tests.completion.made_models import ALL_KINDS, END, KINDS, make_gpt2, train_bpe

PREFIXES = ["the weather today is so", "good morning", "i am", "we never want to go to the beach", "finally"]
BEAM = Decoding("beam", num_beams=3)
DECODINGS = [GREEDY, BEAM, Decoding("nucleus", temperature=0.8), Decoding("mbr", num_samples=8, top_p=0.9)]
every_decoding = pytest.mark.parametrize("decoding", DECODINGS, ids=lambda decoding: decoding.method)
words_too = pytest.mark.parametrize("decoding", [WORDS, *DECODINGS], ids=lambda decoding: decoding.method)


def spelling_mask(tokenizer, typed, new_ids):
    """Return a mask of the ids that may come next after `new_ids`: a plain reimplementation of the constraint."""
    tokens = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    if tokenizer.eos_token == END:
        tokens = ["".join(letter.lower() if letter.isascii() else letter for letter in token) for token in tokens]
    mark = "Ġ" if tokenizer.eos_token == END else "##"
    first = {i: token.removeprefix("Ġ") for i, token in enumerate(tokens) if token.startswith("Ġ") or mark == "##"}
    inside = {i: token.removeprefix("##") for i, token in enumerate(tokens) if not token.startswith("Ġ")}
    if mark == "##":
        first = {i: token for i, token in first.items() if not token.startswith("##") and token[0] != "["}
        inside = {i: inside[i] for i in inside if tokens[i].startswith("##")}
    spelt = "".join(tokens[i].removeprefix(mark) for i in new_ids)
    rest, candidates = typed[len(spelt) :], inside if new_ids else first
    lone_space = [i for i, token in first.items() if token == "" and not new_ids]
    if rest:
        wanted = [i for i, token in candidates.items() if token.startswith(rest)]
        if not wanted:
            beginnings = {i: len(token) for i, token in candidates.items() if token and rest.startswith(token)}
            wanted = [i for i, length in beginnings.items() if length == max(beginnings.values())] or lone_space
    elif not new_ids:
        wanted = [i for i, token in first.items() if token == "" or (token[0].isascii() and token[0].isalnum())]
    elif [tokens[i] for i in new_ids] == ["Ġ"] and not typed:
        wanted = [i for i, token in inside.items() if token[0] in string.digits]
    else:
        wanted = range(len(tokens))
    mask = torch.zeros(len(tokens), dtype=torch.bool)
    mask[list(wanted)] = True
    return mask


@torch.no_grad()
def confidence_by_forward(model, tokenizer, prefix_ids, new_ids, typed=""):
    """Return the mean log-probability of the new tokens, normalised over those allowed, from one forward pass."""
    logits = model(torch.tensor([prefix_ids + new_ids])).logits[0, len(prefix_ids) - 1 : -1].clone()
    for step in range(min(len(new_ids), len(typed) + 2)):
        logits[step, ~spelling_mask(tokenizer, typed, new_ids[:step])] = -torch.inf
    return float(logits.log_softmax(dim=-1)[range(len(new_ids)), new_ids].mean())


@torch.no_grad()
def greedy_by_hand(model, tokenizer, prefix_ids, max_new_tokens, typed="", new=()):
    """Return the greedy new ids, including the end."""
    new = list(new)
    while len(new) < max_new_tokens and (not new or new[-1] != tokenizer.eos_token_id):
        logits = model(torch.tensor([prefix_ids + new])).logits[0, -1].clone()
        if len(new) < len(typed) + 2:
            logits[~spelling_mask(tokenizer, typed, new)] = -torch.inf
        new.append(int(logits.argmax()))
    return new


@pytest.fixture
def decoded(monkeypatch):
    """A list that collects (prompt ids, continuations) for every prompt that is decoded."""
    decode, rows = Completer._decode, []

    def spy(self, prompts, *arguments):
        groups = decode(self, prompts, *arguments)
        rows.extend(zip((prompt.token_ids for prompt in prompts), groups))
        return groups

    monkeypatch.setattr(Completer, "_decode", spy)
    return rows


def complete(model, tokenizer, prefixes, n=1, decoding=GREEDY, **options):
    return completion.complete(model, tokenizer, prefixes, n, decoding, **options)


def encode(tokenizer, text):
    """What the model reads: the words, after the token that begins a text if the tokenizer has one."""
    bos = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    return bos + tokenizer(text, add_special_tokens=False)["input_ids"]


def text_of(tokenizer, new_ids):
    return clean_string(tokenizer.decode(new_ids, skip_special_tokens=True))


def texts(completions):
    return [[suggestion.text for suggestion in suggestions] for suggestions in completions]


def confidences(completions):
    return [suggestion.confidence for suggestions in completions for suggestion in suggestions]


# Words


@pytest.mark.parametrize("kind", ALL_KINDS)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("eos_bias", [0.0, 4.0])
def test_a_single_suggestion_is_greedy_and_scored_by_its_mean_log_probability(make, kind, seed, eos_bias):
    model, tokenizer = make(kind, seed, eos_bias)
    for prefix, (suggestion,) in zip(PREFIXES, complete(model, tokenizer, PREFIXES, max_new_tokens=8)):
        prefix_ids = encode(tokenizer, prefix)
        new = greedy_by_hand(model, tokenizer, prefix_ids, 8)
        assert suggestion.text == text_of(tokenizer, new)
        assert suggestion.confidence == pytest.approx(
            confidence_by_forward(model, tokenizer, prefix_ids, new), abs=1e-4
        )
        assert suggestion.confidence <= 0


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_the_mask_allows_only_beginnings_of_words(make, kind):
    _, tokenizer = make(kind)
    vocab_size = len(tokenizer) + 5
    candidates = word_starts(tokenizer, vocab_size).candidates("", ())
    assert sorted(candidates) == spelling_mask(tokenizer, "", []).nonzero().flatten().tolist()
    assert 0 < len(candidates) < len(tokenizer)
    mask = barred(word_starts(tokenizer, vocab_size), "", (), vocab_size)
    assert sorted(candidates) == (~mask).nonzero().flatten().tolist()


@pytest.mark.parametrize("kind", KINDS)
@every_decoding
def test_the_first_new_token_begins_a_word(make, kind, decoding, decoded):
    model, tokenizer = make(kind)
    complete(model, tokenizer, PREFIXES, 4, decoding, max_new_tokens=4)
    ids = [continuation.token_ids[0] for _, group in decoded for continuation in group]
    assert len(ids) >= 4 * len(PREFIXES)
    assert all(
        token[0] == "Ġ" if kind == "gpt2" else token[0].isalnum() for token in tokenizer.convert_ids_to_tokens(ids)
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [1, 4])
@every_decoding
def test_a_suggestion_has_a_token_even_if_the_end_is_most_probable(make, kind, n, decoding, decoded):
    model, tokenizer = make(kind, eos_bias=100.0)
    completions = complete(model, tokenizer, PREFIXES, n, decoding)
    for _, group in decoded:
        assert all(ids[0] != tokenizer.eos_token_id == ids[1] for ids in (one.token_ids[:2] for one in group))
    assert [len(suggestions) for suggestions in completions] == [n] * len(PREFIXES)
    assert max(confidences(completions)) <= 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("decoding", [GREEDY, BEAM], ids=str)
def test_every_suggestion_has_a_word(make, kind, decoding):
    model, tokenizer = make(kind, eos_bias=100.0)
    num_beginnings = int(spelling_mask(tokenizer, "", []).sum())
    (suggestions,) = texts(complete(model, tokenizer, ["good morning"], num_beginnings, decoding, max_new_tokens=3))
    assert "" not in suggestions


def test_a_space_alone_is_no_suggestion(make):
    model, tokenizer = make("smollm")
    found = complete(model, tokenizer, ["good morning"], n=200, max_new_tokens=1)[0]
    allowed = spelling_mask(tokenizer, "", []).nonzero().flatten().tolist()
    assert {suggestion.text for suggestion in found} == {text_of(tokenizer, [i]) for i in allowed} - {""}


@pytest.mark.parametrize("max_new_tokens", [1, 3])
def test_max_new_tokens_is_kept(make, max_new_tokens, decoded):
    model, tokenizer = make("lstm", eos_bias=-100.0)
    complete(model, tokenizer, PREFIXES, max_new_tokens=max_new_tokens)
    assert [len(group[0].token_ids) for _, group in decoded] == [max_new_tokens] * len(PREFIXES)


def test_a_minimum_number_of_tokens_in_the_generation_config_changes_nothing(make):
    model, tokenizer = make("lstm", eos_bias=4.0)
    expected = complete(model, tokenizer, PREFIXES, n=3)
    model.generation_config.min_new_tokens = 1
    assert complete(model, tokenizer, PREFIXES, n=3) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_suggestions_without_a_cache_are_the_same(make, kind):
    model, tokenizer = make(kind)
    expected = complete(model, tokenizer, PREFIXES, n=3, max_new_tokens=6)
    model.generation_config.use_cache = False
    found = complete(model, tokenizer, PREFIXES, n=3, max_new_tokens=6)
    assert texts(found) == texts(expected)
    assert confidences(found) == pytest.approx(confidences(expected), abs=1e-4)


# Batches


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n, half_typed", [(1, False), (3, False), (3, True)])
@pytest.mark.parametrize("batch_size", [2, 64])
@pytest.mark.parametrize("decoding", [WORDS, GREEDY, BEAM], ids=str)
def test_a_batch_gives_the_same_suggestions_as_its_prefixes_alone(
    make, kind, n, batch_size, decoding, half_typed, monkeypatch
):
    completer = Completer(*make(kind, seed=1), decoding)
    prefixes = PREFIXES + PREFIXES[:2]
    if half_typed:
        letters = ["t", "xqz", "", "2mo", "we", "so", "a"]
        prefixes = [f"{prefix} {typed}" for prefix, typed in zip(prefixes, letters)]
    random.Random(0).shuffle(prefixes)
    monkeypatch.setattr(completion, "BATCH_SIZE", batch_size)
    together = completer.complete(prefixes, n, half_typed, max_new_tokens=8)
    alone = [completer.complete([prefix], n, half_typed, max_new_tokens=8)[0] for prefix in prefixes]
    assert texts(together) == texts(alone)
    assert confidences(together) == pytest.approx(confidences(alone), abs=1e-4)
    assert len({tuple(suggestions) for suggestions in texts(together)}) == len(set(prefixes))


@every_decoding
def test_no_prefixes_give_no_completions(make, decoding):
    assert complete(*make("lstm"), [], decoding=decoding) == []


# Several suggestions


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed, n", [(0, 1), (0, 5), (1, 5)])
@every_decoding
def test_suggestions_are_different_and_scored_like_in_a_forward_pass(make, kind, seed, n, decoding, decoded):
    model, tokenizer = make(kind, seed, eos_bias=4.0)
    found = complete(model, tokenizer, PREFIXES, n, decoding, max_new_tokens=6)
    candidates = {}
    for prefix_ids, group in decoded:
        for one in group:
            expected = confidence_by_forward(model, tokenizer, prefix_ids, one.token_ids)
            assert one.confidence == pytest.approx(expected, abs=1e-4)
            candidates.setdefault(tuple(prefix_ids), set()).add((text_of(tokenizer, one.token_ids), one.confidence))
    for prefix, suggestions in zip(PREFIXES, found):
        assert len({suggestion.text for suggestion in suggestions}) == len(suggestions) == n
        drawn = candidates[tuple(encode(tokenizer, prefix))]
        assert all((suggestion.text, suggestion.confidence) in drawn for suggestion in suggestions)
        assert max(suggestion.confidence for suggestion in suggestions) <= 0


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_greedy_suggestions_begin_with_the_most_probable_tokens(make, kind):
    model, tokenizer = make(kind)
    for prefix, suggestions in zip(PREFIXES, complete(model, tokenizer, PREFIXES, n=4, max_new_tokens=6)):
        prefix_ids = encode(tokenizer, prefix)
        with torch.no_grad():
            scores = model(torch.tensor([prefix_ids])).logits[0, -1]
        first = scores.masked_fill(~spelling_mask(tokenizer, "", []), -torch.inf).argsort(descending=True)[:12]
        continued = (greedy_by_hand(model, tokenizer, prefix_ids, 6, new=[token]) for token in first.tolist())
        expected = dict.fromkeys(text_of(tokenizer, new) for new in continued)
        assert [suggestion.text for suggestion in suggestions] == list(expected)[:4]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("half_typed", [False, True])
def test_the_first_of_several_greedy_suggestions_is_the_single_one(make, kind, half_typed):
    model, tokenizer = make(kind, eos_bias=2.0)
    one = complete(model, tokenizer, PREFIXES[:4], half_typed=half_typed)
    several = complete(model, tokenizer, PREFIXES[:4], n=3, half_typed=half_typed)
    assert texts([suggestions[:1] for suggestions in several]) == texts(one)
    assert confidences([suggestions[:1] for suggestions in several]) == pytest.approx(confidences(one), abs=1e-4)
    assert best_answers(model, tokenizer, PREFIXES) == [text for (text,) in texts(complete(model, tokenizer, PREFIXES))]


NO_CHOICE = [Decoding("nucleus", top_p=0.01), Decoding("mbr", temperature=0.01)]


@pytest.mark.parametrize("decoding", [*DECODINGS, *NO_CHOICE], ids=str)
def test_the_same_text_from_other_tokens_is_not_another_suggestion(cleaned_texts, decoding, decoded):
    tokenizer = train_bpe([*cleaned_texts, *map(str.upper, cleaned_texts), *map(str.title, cleaned_texts)])
    model = make_gpt2(tokenizer, eos_bias=100.0)
    found = texts(complete(model, tokenizer, PREFIXES, 8, decoding))
    assert [len(set(suggestions)) for suggestions in found] == [8] * len(PREFIXES)
    drawn = [[text_of(tokenizer, one.token_ids) for one in group] for _, group in decoded]
    assert any(len(set(group)) < len(group) for group in drawn)
    if decoding == GREEDY:
        # Prompts with too few texts are tried again with more first tokens.
        assert {len(group) for group in drawn} == {8, 32}
        last = {tuple(prefix_ids): group for (prefix_ids, _), group in zip(decoded, drawn)}
        assert found == [list(dict.fromkeys(last[tuple(encode(tokenizer, prefix))]))[:8] for prefix in PREFIXES]


@pytest.mark.parametrize("kind", KINDS)
def test_there_may_be_fewer_suggestions_than_asked_for(make, kind):
    model, tokenizer = make(kind)
    num_texts = len(
        {text_of(tokenizer, [i]) for i in spelling_mask(tokenizer, "", []).nonzero().flatten().tolist()} - {""}
    )
    found = complete(model, tokenizer, ["good morning"], n=10_000, max_new_tokens=1)[0]
    assert len(found) == num_texts
    assert max(confidences([found])) <= 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("decoding", [BEAM, Decoding("nucleus", num_samples=12)], ids=str)
def test_beams_and_samples_are_sorted_by_confidence(make, kind, decoding):
    model, tokenizer = make(kind, eos_bias=4.0)
    for suggestions in complete(model, tokenizer, PREFIXES, 5, decoding, max_new_tokens=6):
        found = [suggestion.confidence for suggestion in suggestions]
        assert found == sorted(found, reverse=True)


def test_the_decoding_sets_the_number_of_continuations(make, decoded):
    for decoding, n, expected in [
        (Decoding("greedy", num_samples=9, num_beams=9), 1, 1),
        (BEAM, 1, 3),
        (BEAM, 4, 4),
        (Decoding("nucleus"), 1, 1),
        (Decoding("nucleus", num_samples=6), 2, 6),
        (Decoding("mbr"), 1, 16),
        (Decoding("mbr", num_samples=5), 1, 5),
    ]:
        decoded.clear()
        complete(*make("lstm"), PREFIXES, n, decoding, max_new_tokens=6)
        assert len(decoded[0][1]) == expected


# Samples


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("utility", ["rouge1", "rouge1+rouge2"])
def test_mbr_chooses_the_sample_with_the_highest_mean_rouge(make, kind, utility, decoded):
    model, tokenizer = make(kind, eos_bias=1.0)
    decoding = Decoding("mbr", num_samples=16, temperature=0.5, utility=utility)
    found = complete(model, tokenizer, PREFIXES, 3, decoding, max_new_tokens=8)
    suggestions_of = {
        tuple(encode(tokenizer, prefix)): suggestions for prefix, suggestions in zip(PREFIXES, texts(found))
    }
    assert len(decoded) == len(PREFIXES)
    scorer = RougeScorer(["rouge1", "rouge2"][: utility.count("rouge")])
    for prefix_ids, group in decoded:
        samples = [text_of(tokenizer, one.token_ids) for one in group]
        assert len(samples) == 16
        utilities = {
            a: np.mean([score.fmeasure for b in samples for score in scorer.score(b, a).values()]) for a in samples
        }
        chosen = suggestions_of[tuple(prefix_ids)]
        best = sorted(utilities.values(), reverse=True)[: len(chosen)]
        assert [utilities[text] for text in chosen] == pytest.approx(best, abs=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["nucleus", "mbr"])
def test_a_seed_repeats_its_samples_and_leaves_the_global_state_alone(make, kind, method):
    model, tokenizer = make(kind)
    before = torch.manual_seed(7).get_state()
    first = complete(model, tokenizer, PREFIXES, 2, Decoding(method, seed=1))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(8)
    assert complete(model, tokenizer, PREFIXES, 2, Decoding(method, seed=1)) == first
    assert complete(model, tokenizer, PREFIXES, 2, Decoding(method, seed=2)) != first


@pytest.mark.parametrize("decoding", [Decoding("nucleus", top_p=0.001), Decoding("mbr", temperature=0.001)], ids=str)
def test_samples_from_a_nucleus_of_one_token_are_greedy(make, decoding):
    model, tokenizer = make("lstm", eos_bias=2.0)
    assert best_answers(model, tokenizer, PREFIXES, decoding) == best_answers(model, tokenizer, PREFIXES)


# Half-typed words

# At most 4 letters: spellings of longer words that differ only in capitals may fill the widest beam search (24 beams).
# "http" is left out because it begins a URL.
typed_letters = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=4).filter("http".__ne__)


@pytest.mark.parametrize("kind", ALL_KINDS)
@words_too
@examples(0.06)
@given(letters=st.lists(typed_letters | st.sampled_from(["to", "tod", "today", "9a", "2"]), min_size=1, max_size=3))
def test_suggestions_begin_with_the_letters_that_were_typed(make, kind, decoding, letters):
    model, tokenizer = make(kind)
    prefixes = [f"good morning {typed}" for typed in letters]
    found = texts(complete(model, tokenizer, prefixes, 3, decoding, half_typed=True, max_new_tokens=8))
    for typed, suggestions in zip(letters, found):
        assert len(set(suggestions)) == 3
        assert all(text.startswith(typed) for text in suggestions)


@pytest.mark.parametrize("kind", ALL_KINDS)
@pytest.mark.parametrize("typed", ["t", "tod", "today", "weathe", "xqzj", "2", "10", "12b", "9am2"])
def test_half_typed_words_are_completed_greedily_after_the_words_before_them(make, kind, typed, decoded):
    model, tokenizer = make(kind, eos_bias=1.0)
    context = encode(tokenizer, "the weather is")
    ((suggestion,),) = complete(model, tokenizer, [f"The weather is... {typed}"], half_typed=True, max_new_tokens=8)
    new = greedy_by_hand(model, tokenizer, context, 8, typed)
    assert suggestion.text == text_of(tokenizer, new)
    assert suggestion.confidence == pytest.approx(
        confidence_by_forward(model, tokenizer, context, new, typed), abs=1e-4
    )
    assert [prefix_ids for prefix_ids, _ in decoded] == [context]


@pytest.mark.parametrize("kind", ALL_KINDS)
@every_decoding
def test_suggestions_for_half_typed_words_are_scored_like_in_a_forward_pass(make, kind, decoding, decoded):
    model, tokenizer = make(kind, eos_bias=2.0)
    complete(model, tokenizer, ["good morning we", "good morning 12"], 3, decoding, half_typed=True, max_new_tokens=6)
    assert decoded
    for prefix_ids, group in decoded:
        for one in group:
            text = text_of(tokenizer, one.token_ids)
            typed = next(typed for typed in ("we", "12") if text.startswith(typed))
            expected = confidence_by_forward(model, tokenizer, prefix_ids, one.token_ids, typed)
            assert one.confidence == pytest.approx(expected, abs=1e-4)


def test_a_token_with_all_typed_letters_is_preferred_to_one_with_some(make):
    _, tokenizer = make("lstm")
    starts = word_starts(tokenizer, len(tokenizer))
    tokens = np.array(tokenizer.convert_ids_to_tokens(range(len(tokenizer))))
    assert {"t", "to", "today"} <= set(tokens)
    assert set(tokens[starts.candidates("toda", ())]) == {token for token in tokens if token.startswith("toda")}
    assert set(tokens[starts.candidates("toxy", ())]) == {"to"}
    to = int(np.flatnonzero(tokens == "to")[0])
    assert set(tokens[starts.candidates("toxy", (to,))]) == {"##x"}
    assert starts.candidates("to", (to,)) is None
    assert not barred(starts, "to", (to,), len(tokenizer)).any()


@pytest.mark.parametrize("kind", ALL_KINDS)
@words_too
def test_a_long_half_typed_word_is_spelt_out(make, kind, decoding):
    model, tokenizer = make(kind, eos_bias=4.0)
    letters = "9xqzjxqzjxqzjkvw7xqzj"
    prefixes = [f"good morning {letters}", "good morning s"]
    long, short = complete(model, tokenizer, prefixes, 1, decoding, half_typed=True, max_new_tokens=2)
    assert long[0].text.startswith(letters)
    assert len(encode(tokenizer, f"x {short[0].text}")) <= len(encode(tokenizer, "x")) + 3


def test_after_complete_words_nothing_is_half_typed(make):
    model, tokenizer = make("lstm")
    typed = complete(model, tokenizer, ["good morning ", "i am so "], n=2, half_typed=True)
    assert typed == complete(model, tokenizer, ["good morning", "i am so"], n=2)


@pytest.mark.parametrize("alone", ["goo", "@bob goo", "  2"])
def test_a_half_typed_word_alone_is_refused_by_its_index(make, alone):
    with pytest.raises(
        ValueError, match=r"prefix 1 \('.*'\) has no complete word before the half-typed '\w+', and this"
    ):
        complete(*make("gpt2"), ["fine too", alone], half_typed=True)


# Prefixes


@pytest.mark.parametrize(
    "messy",
    ["  The WEATHER,\n today!! ", "@bob the weather today http://t.co/abc1", "RT @al: the &quot;weather&quot; today"],
)
def test_prefixes_are_cleaned(make, messy):
    model, tokenizer = make("lstm")
    assert complete(model, tokenizer, [messy], n=2) == complete(model, tokenizer, ["the weather today"], n=2)


@pytest.mark.parametrize("empty", ["", "  ", "?!", "@bob http://t.co/abc1"])
@pytest.mark.parametrize("half_typed", [False, True])
def test_a_prefix_without_words_is_refused_by_its_index(make, empty, half_typed):
    with pytest.raises(ValueError, match=r"prefix 1 \('.*'\) has no word, and this model was not trained"):
        complete(*make("gpt2"), ["fine so", empty, "fine too"], half_typed=half_typed)


@pytest.mark.parametrize("max_new_tokens", [0, -1])
def test_suggestions_of_no_tokens_are_refused(make, max_new_tokens):
    with pytest.raises(ValueError, match=f"max_new_tokens is {max_new_tokens}: a suggestion has at least one token"):
        complete(*make("lstm"), ["so"], max_new_tokens=max_new_tokens)


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_only_the_end_of_a_very_long_prefix_is_read(make, kind):
    words = "so very tired today " * 2_500
    [[suggestion]] = complete(*make(kind), [words])
    assert suggestion.text


@pytest.mark.parametrize("n", [0, -2])
def test_fewer_than_one_suggestion_is_refused(make, n):
    with pytest.raises(ValueError, match=f"n is {n}: ask for at least one suggestion"):
        complete(*make("lstm"), ["fine"], n=n)


def test_more_suggestions_than_samples_of_mbr_are_refused(make):
    with pytest.raises(ValueError, match="num_samples is 4: mbr can't choose 5 suggestions among so few"):
        complete(*make("lstm"), ["fine"], n=5, decoding=Decoding("mbr", num_samples=4))


# A text that is being typed


def keystrokes(text):
    """The text letter by letter; then its last words are deleted, and others are typed."""
    typed = [text[:end] for end in range(5, len(text) + 1)]
    return [*typed, text[:12], text[:9], text[:9] + "and so", text]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@words_too
def test_suggestions_with_a_memory_are_those_without(make, kind, decoding):
    model, tokenizer = make(kind)
    memory = PrefixMemory(model)
    for text in keystrokes("the weather today is so lovely"):
        without = complete(model, tokenizer, [text], 3, decoding, half_typed=True)
        remembered = complete(model, tokenizer, [text], 3, decoding, half_typed=True, memory=memory)
        assert [one.text for one in remembered[0]] == [one.text for one in without[0]]
        confidences = [[one.confidence for one in group[0]] for group in (remembered, without)]
        assert confidences[0] == pytest.approx(confidences[1], abs=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_every_token_of_a_text_is_read_once_however_it_is_typed(make, kind, monkeypatch):
    model, tokenizer = make(kind)
    token_ids = tokenizer("the weather today is so lovely", add_special_tokens=False, return_tensors="pt")["input_ids"]
    expected = model(token_ids).logits
    read, forward = [], model.base_model.forward

    def spy(*arguments, **named):
        read.extend(named.get("input_ids", arguments[0] if arguments else None).flatten().tolist())
        return forward(*arguments, **named)

    monkeypatch.setattr(model.base_model, "forward", spy)
    memory = PrefixMemory(model)
    length = token_ids.shape[1]
    for end in [*range(1, length + 1), 3, 2, length]:
        output = memory.read(token_ids[:, :end], torch.ones(1, end, dtype=torch.long))
        assert torch.allclose(output.logits[:, -1], expected[:, end - 1], atol=1e-4)
    assert read == token_ids[0].tolist()


def test_the_oldest_prefix_is_forgotten_first(make):
    model, _ = make("lstm")
    memory = PrefixMemory(model)
    for token in range(3, 3 + MAX_PREFIXES + 5):
        memory.read(torch.tensor([[token, 4, 5]]), torch.ones(1, 3, dtype=torch.long))
    assert len(memory.outputs) == MAX_PREFIXES
    assert (3, 4, 5) not in memory.outputs and (MAX_PREFIXES + 7, 4, 5) in memory.outputs


def test_long_texts_are_forgotten_sooner(make):
    model, _ = make("gpt2")
    memory = PrefixMemory(model)
    for token in range(3, 60):
        memory.read(torch.full((1, 60), token), torch.ones(1, 60, dtype=torch.long))
    assert len(memory.outputs) == MAX_TOKENS // 60
    memory.read(torch.full((1, 5), 3), torch.ones(1, 5, dtype=torch.long))
    assert (3,) * 5 in memory.outputs


def test_a_memory_of_another_model_is_refused(make):
    model, tokenizer = make("lstm")
    with pytest.raises(ValueError, match="the memory belongs to another model: make one for each model"):
        complete(model, tokenizer, ["good morning"], memory=PrefixMemory(make("gpt2")[0]))


def test_a_model_in_training_mode_is_refused(make):
    model, tokenizer = make("lstm")
    with pytest.raises(ValueError, match=r"the model is in training mode, .* call model\.eval\(\) first"):
        complete(deepcopy(model).train(), tokenizer, ["good morning"])


def test_more_tokens_than_the_model_has_positions_are_refused(make):
    model, tokenizer = make("gpt2")
    room = model.config.max_position_embeddings
    with pytest.raises(ValueError, match=rf"max_new_tokens is {room}: the model has {room} positions"):
        complete(model, tokenizer, ["good morning"], max_new_tokens=room)
    [[suggestion]] = complete(model, tokenizer, ["good morning " * room], max_new_tokens=room - 1)
    assert suggestion.text


def test_a_memory_serves_one_prefix_at_a_time(make):
    model, tokenizer = make("lstm")
    with pytest.raises(ValueError, match="a memory belongs to one text: give one prefix at a time, not 2"):
        complete(model, tokenizer, ["good morning", "i am"], memory=PrefixMemory(model))
