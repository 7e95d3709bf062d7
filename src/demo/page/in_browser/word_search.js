// Suggests different next words, the most probable ones, and continues each of them. It does what
// src/text/word_search.py does and explains, for one text.

import { cleanString } from "./cleaning.js";

const BEAMS_PER_SUGGESTION = 2;

// Finds suggestions. A path is tokens after the text, `ids`; `next` are the probabilities of the token after them, once
// the model has read them.
export class WordSearch {
  // `reader` has the functions `knows(path)` and, to be awaited, `read(paths)`, which returns the `next` of each.
  // `limits` are `n` suggestions, `maxNewTokens` in each of them, and the `minProbability` of a continuation.
  constructor(reader, starts, eosId, typed, limits) {
    [this.reader, this.starts, this.eosId, this.typed] = [reader, starts, eosId, typed];
    Object.assign(this, limits);
    // Beginnings of words with the present number of tokens: those still to be read, and those that have been.
    this.beginnings = [{ ids: [], logProbability: 0, letters: "", next: null }];
    this.readBeginnings = [];
    this.found = new Map();
    this.typedLogProbability = -Infinity;
  }

  // Returns the tokens of the best suggestions and the probabilities of their words, given that the next word begins
  // with the typed letters.
  async suggest() {
    for (let step = 0; step <= this.maxNewTokens; step += 1) {
      const unread = this.unread();
      if (unread.length === 0) break;
      await this.read(unread.filter((path) => this.reader.knows(path)));
      this.collectWords();
      // After that, some of the other paths can't become one of the best suggestions any more.
      await this.read(this.unread());
      this.collectWords();
      this.addTokens();
    }
    return this.best().map(({ ids, wordLogProbability }) => (
      { ids, wordProbability: Math.exp(Math.min(wordLogProbability - this.typedLogProbability, 0)) }
    ));
  }

  async read(paths) {
    if (paths.length === 0) return;
    const read = await this.reader.read(paths);
    paths.forEach((path, i) => { path.next = read[i]; });
  }

  // The paths that the model must read next.
  unread() {
    const least = this.least();
    const beginnings = this.beginnings.filter((path) => path.logProbability > least);
    const suggested = this.best().map((one) => one.path).filter(Boolean);
    return [...beginnings, ...suggested].filter((path) => path.next === null);
  }

  // Takes the words that end after the beginnings that have been read.
  collectWords() {
    const read = this.beginnings.filter((path) => path.next !== null);
    this.beginnings = this.beginnings.filter((path) => path.next === null);
    for (const path of read) {
      if (path.letters !== "" && path.letters.length >= this.typed.length) this.addWord(path);
    }
    this.readBeginnings.push(...read);
  }

  // Goes on with the best beginnings, and adds a token to the best suggestions.
  addTokens() {
    const least = this.least();
    const longer = this.readBeginnings.flatMap((path) => this.longer(path, least));
    longer.sort((a, b) => b.logProbability - a.logProbability);
    const width = BEAMS_PER_SUGGESTION * this.n;
    const spelling = longer.filter((path) => path.letters.length >= this.typed.length);
    const shorter = longer.filter((path) => path.letters.length < this.typed.length);
    this.beginnings = [...spelling.slice(0, width), ...shorter.slice(0, width)];
    this.readBeginnings = [];
    const best = this.best();
    for (const suggestion of this.found.values()) {
      if (suggestion.path) this.continue(suggestion, best.includes(suggestion));
    }
  }

  // The least log-probability of the n best words; what is less probable can't become one of them.
  least() {
    const best = this.best();
    const last = best.at(-1);
    return best.length < this.n || last.word === this.typed ? -Infinity : last.wordLogProbability;
  }

  // The n best suggestions so far. A word that is typed already comes last.
  best() {
    const rank = (one) => (one.word === this.typed ? Infinity : -one.wordLogProbability);
    // Two infinite ranks have no difference.
    return [...this.found.values()].sort((a, b) => rank(a) - rank(b) || 0).slice(0, this.n);
  }

  // Counts a spelling of a word that ends here.
  addWord(path) {
    const continues = sumOf(path.next, this.starts.inside);
    const logProbability = path.logProbability + Math.log(Math.max(1 - continues, 1e-6));
    const word = cleanString(path.letters);
    if (!this.found.has(word)) this.found.set(word, { word, wordLogProbability: -Infinity, bestSpelling: -Infinity });
    const suggestion = this.found.get(word);
    suggestion.wordLogProbability = logAddExp(suggestion.wordLogProbability, logProbability);
    if (logProbability > suggestion.bestSpelling) {
      Object.assign(suggestion, { bestSpelling: logProbability, ids: path.ids, path, isContinued: false });
    }
  }

  // The most probable paths above `least` with one token more that can spell the typed letters.
  longer(path, least) {
    const rest = this.typed.slice(path.letters.length);
    const { spelling, shorter } = this.starts.spellings(rest, path.ids.length === 0);
    if (rest !== "" || path.letters === "") {
      const covered = path.logProbability + Math.log(sumOf(path.next, spelling));
      this.typedLogProbability = logAddExp(this.typedLogProbability, covered);
    }
    if (path.ids.length === this.maxNewTokens || path.logProbability <= least) return [];
    const above = Math.exp(least - path.logProbability);
    const width = BEAMS_PER_SUGGESTION * this.n;
    const ids = [spelling, shorter].flatMap((kind) => largest(kind, path.next, width));
    return ids.filter((id) => path.next[id] > above).map((id) => followed(path, id, this.starts.letters[id]));
  }

  // Adds the most probable token to a suggestion, or ends it.
  continue(suggestion, isWanted) {
    const { path } = suggestion;
    suggestion.path = null;
    // Better words have been found meanwhile.
    if (path.next === null) return;
    if (path.ids.length === this.maxNewTokens) {
      suggestion.ids = path.ids;
      return;
    }
    const isFirst = !suggestion.isContinued;
    const token = argmax(path.next, isFirst ? this.starts.isInside : []);
    const longer = followed(path, token, "");
    if (!isFirst && !this.starts.isInside[token]) suggestion.ids = path.ids;
    suggestion.isContinued = true;
    if (!isWanted || Math.exp(longer.logProbability - suggestion.bestSpelling) < this.minProbability) return;
    if (token === this.eosId) suggestion.ids = longer.ids;
    else suggestion.path = longer;
  }
}

// Returns the path with one token more, which spells the letters.
function followed(path, id, letters) {
  const logProbability = path.logProbability + Math.log(path.next[id]);
  return { ids: [...path.ids, id], logProbability, letters: path.letters + letters, next: null };
}

function logAddExp(a, b) {
  const larger = Math.max(a, b);
  return larger === -Infinity ? larger : larger + Math.log1p(Math.exp(Math.min(a, b) - larger));
}

function sumOf(values, ids) {
  let sum = 0;
  for (const id of ids) sum += values[id];
  return sum;
}

// Returns the ids of the `width` largest values.
function largest(ids, values, width) {
  const top = [];
  for (const id of ids) {
    if (top.length === width && values[id] <= values[top[width - 1]]) continue;
    let place = top.length;
    while (place > 0 && values[id] > values[top[place - 1]]) place -= 1;
    top.splice(place, 0, id);
    top.length = Math.min(top.length, width);
  }
  return top;
}

// Returns the index of the largest value, without the excluded ones.
function argmax(values, isExcluded) {
  let best = -1;
  for (let i = 0; i < values.length; i += 1) {
    if (!isExcluded[i] && (best === -1 || values[i] > values[best])) best = i;
  }
  return best;
}
