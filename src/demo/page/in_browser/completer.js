// Completes texts with an LSTM in onnxruntime-web and with n-grams. It does what src/deploy/onnx_lstm.py does.

import { cleanString } from "./cleaning.js";
import { Ngrams } from "./ngrams.js";
import { Tokenizer, WordStarts } from "./tokenizer.js";
import { WordSearch } from "./word_search.js";

const LIBRARY = new URL("../onnxruntime-web/", import.meta.url);
const NUM_SUGGESTIONS = 3;
const MAX_NEW_TOKENS = 20;
// Beginnings of the text being typed whose states are kept.
const MAX_PREFIXES = 64;
// Probabilities closer than this to 0 or 1 count as that far from it.
const MARGIN = 1e-6;

// Loads the library and the files of a folder. Calls `loaded(bytes)` after each of them. Throws an error with a sentence.
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
  const settings = await read("settings.json", json);
  const tokenizer = await read("tokenizer.json", (buffer) =>
    new Tokenizer(json(buffer), Object.values(settings.special_tokens)));
  const ngrams = await read("ngrams.bin", (buffer) => new Ngrams(buffer, tokenizer.tokens.length));
  const ort = await import(new URL("ort.wasm.bundle.min.mjs", LIBRARY));
  // More threads need headers that keep the page out of a notebook's frame.
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmBinary = await fetchFile(new URL("ort-wasm-simd-threaded.wasm", LIBRARY));
  const session = await read("model.int8.onnx", (buffer) => ort.InferenceSession.create(buffer));
  return new Completer(new LSTM(ort, session), ngrams, tokenizer, settings);
}

class LSTM {
  constructor(ort, session) {
    [this.Tensor, this.session] = [ort.Tensor, session];
    const { shape } = session.inputMetadata.find(({ name }) => name === "hidden");
    [this.numLayers, , this.hiddenDim] = shape;
  }

  // Reads `length` tokens in each row, from a state or from the beginning. A state holds two arrays [layers, rows,
  // hidden]. Returns the logits after the last token of each row, and the new state.
  async read(tokenIds, length, state) {
    const numRows = tokenIds.length / length;
    const dims = [this.numLayers, numRows, this.hiddenDim];
    const size = this.numLayers * numRows * this.hiddenDim;
    const [hidden, cell] = state ?? [new Float32Array(size), new Float32Array(size)];
    const { logits, next_hidden, next_cell } = await this.session.run({
      input_ids: new this.Tensor("int64", BigInt64Array.from(tokenIds, BigInt), [numRows, length]),
      hidden: new this.Tensor("float32", hidden, dims),
      cell: new this.Tensor("float32", cell, dims),
    });
    const vocabSize = logits.data.length / numRows;
    const rows = Array.from({ length: numRows }, (_, i) => logits.data.subarray(i * vocabSize, (i + 1) * vocabSize));
    return { rows, state: [next_hidden.data, next_cell.data] };
  }

  // Returns the state whose rows are these rows of another state.
  rowsOf(state, rows) {
    return state.map((values) => {
      const numRows = values.length / (this.numLayers * this.hiddenDim);
      const chosen = new Float32Array(this.numLayers * rows.length * this.hiddenDim);
      for (let layer = 0; layer < this.numLayers; layer += 1) {
        rows.forEach((row, i) => {
          const start = (layer * numRows + row) * this.hiddenDim;
          chosen.set(values.subarray(start, start + this.hiddenDim), (layer * rows.length + i) * this.hiddenDim);
        });
      }
      return chosen;
    });
  }
}

class Completer {
  constructor(lstm, ngrams, tokenizer, settings) {
    [this.lstm, this.ngrams, this.tokenizer, this.settings] = [lstm, ngrams, tokenizer, settings];
    const { eos_token, bos_token } = settings.special_tokens;
    this.eosId = tokenizer.id(eos_token);
    this.bosIds = bos_token ? [tokenizer.id(bos_token)] : [];
    this.starts = new WordStarts(tokenizer);
    // What was read of the last texts, by their tokens; the one used last comes last.
    this.prefixes = new Map();
  }

  get completesFirstWords() {
    return this.bosIds.length > 0;
  }

  // Suggests words after these words that begin with the typed letters, best first.
  async complete(words, typed) {
    const tokenIds = [...this.bosIds, ...this.tokenizer.encode(words)];
    const search = new WordSearch(this.starts, this.eosId, typed, {
      n: NUM_SUGGESTIONS,
      maxNewTokens: Math.max(MAX_NEW_TOKENS, typed.length + 1),
      minProbability: this.settings.min_probability,
    });
    let { rows, state } = await this.readPrefix(tokenIds);
    let paths = [{ ids: [] }];
    for (let step = 0; step <= search.maxNewTokens; step += 1) {
      const mixed = paths.map(({ ids }, i) => this.probabilities(rows[i], [...tokenIds, ...ids]));
      paths = search.advance(mixed);
      if (paths.length === 0) break;
      const before = this.lstm.rowsOf(state, paths.map(({ row }) => row));
      ({ rows, state } = await this.lstm.read(paths.map(({ ids }) => ids.at(-1)), 1, before));
      paths.forEach((path, row) => { path.row = row; });
    }
    return search.result().map(({ ids, wordProbability }) => (
      { words: cleanString(this.tokenizer.decode(ids)), probability: this.calibrated(wordProbability) }
    ));
  }

  // Reads a text; what was read of its longest known beginning is not read again.
  async readPrefix(tokenIds) {
    let end = tokenIds.length;
    while (end > 0 && !this.prefixes.has(tokenIds.slice(0, end).join())) end -= 1;
    const key = tokenIds.slice(0, end).join();
    let known = this.prefixes.get(key);
    if (known) {
      this.prefixes.delete(key);
      this.prefixes.set(key, known);
    }
    if (end < tokenIds.length) {
      known = await this.lstm.read(tokenIds.slice(end), tokenIds.length - end, known?.state);
      this.prefixes.set(tokenIds.join(), known);
    }
    if (this.prefixes.size > MAX_PREFIXES) this.prefixes.delete(this.prefixes.keys().next().value);
    return known;
  }

  // Probabilities of the next token after these ones: those of both models, mixed.
  probabilities(logits, tokenIds) {
    const ngram = this.ngrams.probabilities(tokenIds[0] === this.eosId ? tokenIds : [this.eosId, ...tokenIds]);
    const weight = this.mixingWeight();
    const mixed = softmax(logits);
    for (let i = 0; i < mixed.length; i += 1) mixed[i] = (1 - weight) * mixed[i] + weight * ngram[i];
    return mixed;
  }

  // The share of the n-gram model's probabilities.
  mixingWeight() {
    return this.settings.ngram_weight;
  }

  // The share of suggestions with this probability that are right; see src/text/calibration.py.
  calibrated(probability) {
    const { slope, intercept } = this.settings.calibration;
    const inside = Math.min(Math.max(probability, MARGIN), 1 - MARGIN);
    const logit = slope * (Math.log(inside) - Math.log1p(-inside)) + intercept;
    return 0.5 * (1 + Math.tanh(0.5 * logit));
  }
}

function softmax(logits) {
  const values = new Float32Array(logits.length);
  let [largest, total] = [-Infinity, 0];
  for (const logit of logits) if (logit > largest) largest = logit;
  for (let i = 0; i < logits.length; i += 1) {
    values[i] = Math.exp(logits[i] - largest);
    total += values[i];
  }
  for (let i = 0; i < values.length; i += 1) values[i] /= total;
  return values;
}
