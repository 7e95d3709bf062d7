// Suggests different next words, the most probable ones, and continues each of them. It does what
// src/text/word_search.py does and explains, for one text.

import { cleanString } from "./cleaning.js";

const BEAMS_PER_SUGGESTION = 3;

// `limits` are `n` suggestions, `maxNewTokens` in each of them, and the `minProbability` of each word after the first.
export class WordSearch {
  constructor(starts, eosId, typed, limits) {
    [this.starts, this.eosId, this.typed] = [starts, eosId, typed];
    Object.assign(this, limits);
    this.beginnings = [{ row: 0, ids: [], logProbability: 0, letters: "" }];
    this.found = new Map();
    this.typedLogProbability = -Infinity;
  }

  // Adds a token to every path, given the probabilities after each row of the model's last batch. Returns the paths
  // that must be read next; the caller sets their rows.
  advance(rows) {
    let longer = [];
    for (const beginning of this.beginnings) {
      const after = rows[beginning.row];
      if (beginning.letters !== "" && beginning.letters.length >= this.typed.length) this.addWord(beginning, after);
      if (beginning.ids.length < this.maxNewTokens) longer = longer.concat(this.longer(beginning, after));
    }
    const best = this.best();
    const least = best.length === this.n ? Math.min(...best.map((one) => one.wordLogProbability)) : -Infinity;
    longer.sort((a, b) => b.logProbability - a.logProbability);
    this.beginnings = longer.slice(0, BEAMS_PER_SUGGESTION * this.n).filter((path) => path.logProbability > least);
    for (const suggestion of this.found.values()) {
      if (suggestion.path) this.continue(suggestion, rows[suggestion.path.row], best.includes(suggestion));
    }
    return [...this.beginnings, ...best.map((one) => one.path).filter(Boolean)];
  }

  // The n best suggestions so far. A word that is typed already comes last.
  best() {
    const rank = (one) => (one.word === this.typed ? Infinity : -one.wordLogProbability);
    // Two infinite ranks have no difference.
    return [...this.found.values()].sort((a, b) => rank(a) - rank(b) || 0).slice(0, this.n);
  }

  // The best suggestions with the probability of their words, given that the next word begins with the typed letters.
  result() {
    return this.best().map(({ wordLogProbability, ids }) => (
      { ids, wordProbability: Math.exp(Math.min(wordLogProbability - this.typedLogProbability, 0)) }
    ));
  }

  // Counts a spelling of a word that ends here.
  addWord(path, after) {
    const continues = sumOf(after, this.starts.inside);
    const logProbability = path.logProbability + Math.log(Math.max(1 - continues, 1e-6));
    const word = cleanString(path.letters);
    if (!this.found.has(word)) this.found.set(word, { word, wordLogProbability: -Infinity, bestSpelling: -Infinity });
    const suggestion = this.found.get(word);
    suggestion.wordLogProbability = logAddExp(suggestion.wordLogProbability, logProbability);
    if (logProbability > suggestion.bestSpelling) {
      const { ids } = path;
      Object.assign(suggestion, { bestSpelling: logProbability, ids, path, lastWordLogProbability: null });
    }
  }

  // The most probable paths with one token more that can spell the typed letters.
  longer(path, after) {
    const rest = this.typed.slice(path.letters.length);
    const { spelling, shorter } = this.starts.spellings(rest, path.ids.length === 0);
    if (rest !== "" || path.letters === "") {
      const covered = path.logProbability + Math.log(sumOf(after, spelling));
      this.typedLogProbability = logAddExp(this.typedLogProbability, covered);
    }
    return largest(spelling.concat(shorter), after, BEAMS_PER_SUGGESTION * this.n).map((id) => ({
      row: path.row,
      ids: [...path.ids, id],
      logProbability: path.logProbability + Math.log(after[id]),
      letters: path.letters + this.starts.letters[id],
    }));
  }

  // Adds the most probable token to a suggestion, or ends it.
  continue(suggestion, after, isWanted) {
    const { path } = suggestion;
    suggestion.path = null;
    if (path.ids.length === this.maxNewTokens) {
      suggestion.ids = path.ids;
      return;
    }
    const isFirst = suggestion.lastWordLogProbability === null;
    const token = argmax(after, isFirst ? this.starts.isInside : []);
    const logProbability = Math.log(after[token]);
    let word = logProbability;
    // The word is known to end here.
    if (isFirst) word -= suggestion.bestSpelling - path.logProbability;
    else if (this.starts.isInside[token]) word += suggestion.lastWordLogProbability;
    else suggestion.ids = path.ids;
    if (!isWanted || Math.exp(word) < this.minProbability) return;
    const ids = [...path.ids, token];
    if (token === this.eosId) {
      suggestion.ids = ids;
      return;
    }
    suggestion.path = { row: path.row, ids, logProbability: path.logProbability + logProbability };
    suggestion.lastWordLogProbability = word;
  }
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
