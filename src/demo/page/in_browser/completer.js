// Completes texts with an LSTM in onnxruntime-web and with n-grams. It does what src/deploy/device.py does.

import { cleanString } from "./cleaning.js";
import { LSTM, largestOf, softmax } from "./lstm.js";
import { Ngrams } from "./ngrams.js";
import { ReadTexts } from "./read_texts.js";
import { Tokenizer, WordStarts } from "./tokenizer.js";
import { WordSearch } from "./word_search.js";

const LIBRARY = new URL("../onnxruntime-web/", import.meta.url);
const NUM_SUGGESTIONS = 3;
// At most so many suggestions are looked for. See src/text/offensive.py.
const MAX_SUGGESTIONS = 8 * NUM_SUGGESTIONS;
const MAX_NEW_TOKENS = 20;
// Probabilities closer than this to 0 or 1 count as that far from it.
const MARGIN = 1e-6;

// Loads the library and the files of a folder, and calls `loaded(bytes)` after each. Throws an error with a sentence.
export async function loadCompleter(folder, loaded) {
  const fetchFile = async (url) => {
    const response = await fetch(url).catch(() => { throw new Error("the server does not answer"); });
    if (!response.ok) throw new Error(`${url.pathname.split("/").at(-1)} is not there`);
    const buffer = await response.arrayBuffer();
    loaded(buffer.byteLength);
    return buffer;
  };
  const read = async (name, parse) => {
    const buffer = await fetchFile(new URL(name, folder));
    try {
      return await parse(buffer);
    } catch (error) {
      throw new Error(`${name} can't be read (${error.message}): export the run again`);
    }
  };
  const json = (buffer) => JSON.parse(new TextDecoder().decode(buffer));
  const settings = await read("settings.json", (buffer) => checkedSettings(json(buffer)));
  const { special_tokens } = settings;
  const tokenizer = await read("tokenizer.json", (buffer) =>
    new Tokenizer(json(buffer), Object.values(special_tokens)));
  const ngrams = await read("ngrams.bin", (buffer) => {
    const found = new Ngrams(buffer, tokenizer.tokens.length, tokenizer.id(special_tokens.eos_token));
    if (settings.ngram_weight.length !== 2 * found.order) throw new Error("its order is not that of the settings");
    return found;
  });
  const leftOut = await read("../../left-out-words", (buffer) => new Set(json(buffer)));
  const ort = await import(new URL("ort.wasm.bundle.min.mjs", LIBRARY)).catch(() => {
    throw new Error("onnxruntime-web is not there");
  });
  // More threads need headers that keep the page out of a notebook's frame.
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmBinary = await fetchFile(new URL("ort-wasm-simd-threaded.wasm", LIBRARY));
  const session = await read("model.int8.onnx", (buffer) => ort.InferenceSession.create(buffer));
  return new Completer(new LSTM(ort, session), ngrams, tokenizer, settings, leftOut);
}

function checkedSettings(settings) {
  const { special_tokens, calibration, ngram_weight, min_probability } = settings;
  const numbers = [calibration.slope, calibration.intercept, min_probability, ...ngram_weight];
  if (!special_tokens.eos_token || !numbers.every(Number.isFinite)) throw new Error("a setting is missing");
  return settings;
}

class Completer {
  // Suggestions have no words of the set `leftOut`.
  constructor(lstm, ngrams, tokenizer, settings, leftOut) {
    [this.ngrams, this.tokenizer, this.settings, this.leftOut] = [ngrams, tokenizer, settings, leftOut];
    const { eos_token, bos_token } = settings.special_tokens;
    this.eosId = tokenizer.id(eos_token);
    this.bosIds = bos_token ? [tokenizer.id(bos_token)] : [];
    this.starts = new WordStarts(tokenizer);
    this.texts = new ReadTexts(lstm, (logits, ids) => this.probabilities(logits, ids));
  }

  get completesFirstWords() {
    return this.bosIds.length > 0;
  }

  // Suggests words after these words that begin with the typed letters, best first. A suggestion ends before a word
  // that is left out. If that is its first word, the next best suggestion takes its place.
  async complete(words, typed) {
    for (let n = NUM_SUGGESTIONS; ; n *= 2) {
      const found = await this.suggest(words, typed, n);
      const kept = found.map((one) => ({ ...one, words: this.allowed(one.words) })).filter((one) => one.words !== "");
      if (kept.length >= NUM_SUGGESTIONS || found.length < n || n === MAX_SUGGESTIONS) {
        return kept.slice(0, NUM_SUGGESTIONS);
      }
    }
  }

  allowed(words) {
    const list = words.split(" ");
    const end = list.findIndex((word) => this.leftOut.has(word));
    return (end === -1 ? list : list.slice(0, end)).join(" ");
  }

  // Suggests n words as they are.
  async suggest(words, typed, n) {
    const prompt = [...this.bosIds, ...this.tokenizer.encode(words)];
    const reader = {
      knows: ({ ids }) => this.texts.has([...prompt, ...ids]),
      read: async (paths) => (paths[0].ids.length === 0
        ? [await this.texts.readPrompt(prompt)]
        : this.texts.readNext(paths.map(({ ids }) => [...prompt, ...ids]))),
    };
    const found = await new WordSearch(reader, this.starts, this.eosId, typed, {
      n,
      maxNewTokens: Math.max(MAX_NEW_TOKENS, typed.length + 1),
      minProbability: this.settings.min_probability,
    }).suggest();
    this.texts.forget();
    return found.map(({ ids, wordProbability }) => (
      { words: cleanString(this.tokenizer.decode(ids)), probability: this.calibrated(wordProbability) }
    ));
  }

  // Probabilities of the token after a text: those of both models, mixed.
  probabilities(logits, ids) {
    const ngram = this.ngrams.lookUp(ids[0] === this.eosId ? ids : [this.eosId, ...ids]);
    const mixed = softmax(logits);
    const weight = this.mixingWeight(mixed, ngram.context);
    for (let i = 0; i < mixed.length; i += 1) mixed[i] = (1 - weight) * mixed[i] + weight * ngram.probabilities[i];
    return mixed;
  }

  // The share of the n-gram model's probabilities; see src/text/context_weight.py.
  mixingWeight(neural, context) {
    const inputs = [1, Math.log(largestOf(neural)), ...context];
    const logOdds = inputs.reduce((sum, input, i) => sum + input * this.settings.ngram_weight[i], 0);
    return 1 / (1 + Math.exp(-logOdds));
  }

  // The share of suggestions with this probability that are right; see src/text/calibration.py.
  calibrated(probability) {
    const { slope, intercept } = this.settings.calibration;
    const inside = Math.min(Math.max(probability, MARGIN), 1 - MARGIN);
    const logit = slope * (Math.log(inside) - Math.log1p(-inside)) + intercept;
    return 0.5 * (1 + Math.tanh(0.5 * logit));
  }
}
