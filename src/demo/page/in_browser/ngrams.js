// The n-gram model in a file. src/deploy/ngram_file.py describes the format: a trie whose levels are arrays.

const FORMAT = "ngrams";
const VERSION = "1";
const MIN_BACKOFF = 1e-4;
const BLOCK = 64;
const MAX_HEADER = 100_000;
const MAX_ORDER = 16;
const ARRAYS = { F32: Float32Array, U32: Uint32Array, U16: Uint16Array, U8: Uint8Array };

function require(condition, problem) {
  if (!condition) throw new Error(problem);
}

export class Ngrams {
  // Reads the bytes of a file. Throws an error that says what is wrong with them.
  constructor(buffer, vocabSize, eosId) {
    const { header, start } = readHeader(buffer);
    const about = header.__metadata__;
    require(about?.format === FORMAT, "it is no n-gram model");
    require(about.version === VERSION, `it has version ${about.version}, this page reads ${VERSION}`);
    this.order = Number(about.order);
    const isOfRun = Number(about.vocab_size) === vocabSize && Number(about.eos_id) === eosId;
    require(isOfRun, "it has another vocabulary");
    require(Number.isInteger(this.order) && this.order >= 1 && this.order <= MAX_ORDER, "its order is out of range");
    const array = (name, dtype, length) => readArray(buffer, start, header, name, dtype, length);
    this.unigrams = array("probabilities_1", "F32", vocabSize);
    // Level i has the n-grams of i + 2 tokens.
    this.levels = [];
    for (let n = 2; n <= this.order; n += 1) {
      const tokens = array(`tokens_${n}`, "U16");
      const shares = array(`shares_${n}`, "U8", tokens.length);
      const level = { tokens, shares, codebook: array(`codebook_${n}`, "F32", 256) };
      if (n === 2) level.firstChildren = array("first_child_1", "U32", vocabSize + 1);
      else {
        level.numChildren = array(`num_children_${n - 1}`, "U8", this.levels.at(-1).tokens.length);
        level.firstChildren = array(`first_child_${n - 1}`, "U32", Math.ceil(level.numChildren.length / BLOCK));
      }
      this.levels.push(level);
    }
    this.check(vocabSize);
  }

  // Refuses values that would lead outside the arrays or give no probabilities.
  check(vocabSize) {
    const isProbability = (value) => value >= 0 && value <= 1;
    const total = this.unigrams.reduce((sum, value) => sum + value, 0);
    require(this.unigrams.every((value) => value > 0) && Math.abs(total - 1) < 1e-5, "it holds no probabilities");
    for (const { tokens, codebook, firstChildren, numChildren } of this.levels) {
      require(codebook.every(isProbability), "it holds no probabilities");
      require(tokens.every((token) => token < vocabSize), "it has tokens outside the vocabulary");
      let end = 0;
      const isInOrder = numChildren === undefined
        ? firstChildren[0] === 0 && firstChildren.every((first, i) => i === 0 || first >= firstChildren[i - 1])
        : numChildren.every((number, i) => {
          const isRight = i % BLOCK !== 0 || firstChildren[i / BLOCK] === end;
          end += number;
          return isRight;
        });
      const isComplete = (numChildren ? end : firstChildren.at(-1)) === tokens.length;
      require(isInOrder && isComplete, "its levels do not fit together");
    }
  }

  // Returns the probability of each token after these ones, the first of which is the end token before the text; and
  // what is known of the contexts of one token, of two, and so on: how much each leaves to the shorter one (1 if it was
  // never seen), then, for each, the logarithm of 1 plus the number of different tokens after it.
  lookUp(tokenIds) {
    const probabilities = this.unigrams.slice();
    const [backoffs, numbers] = [this.levels.map(() => 1), this.levels.map(() => 0)];
    for (let i = 0; i < Math.min(this.levels.length, tokenIds.length); i += 1) {
      const [start, end] = this.children(tokenIds.slice(-i - 1));
      if (start === end) continue;
      backoffs[i] = addShares(probabilities, this.levels[i], start, end);
      numbers[i] = Math.log1p(end - start);
    }
    return { probabilities, context: [...backoffs, ...numbers] };
  }

  // Returns where the children of a context begin and end in the level of its length; [0, 0] if it is unknown.
  children([firstToken, ...others]) {
    let [start, end] = this.levels[0].firstChildren.subarray(firstToken, firstToken + 2);
    for (const [i, token] of others.entries()) {
      const node = find(this.levels[i].tokens, token, start, end);
      if (node === -1) return [0, 0];
      const { firstChildren, numChildren } = this.levels[i + 1];
      const block = Math.floor(node / BLOCK);
      start = firstChildren[block];
      for (let before = block * BLOCK; before < node; before += 1) start += numChildren[before];
      end = start + numChildren[node];
    }
    return [start, end];
  }
}

// p(token | context) = (share + backoff * p(token | shorter context)) / (sum of shares + backoff)
// Returns the part that is left to the shorter context.
function addShares(probabilities, { tokens, shares, codebook }, start, end) {
  let total = 0;
  for (let i = start; i < end; i += 1) total += codebook[shares[i]];
  const backoff = Math.max(1 - total, MIN_BACKOFF);
  const left = backoff / (total + backoff);
  for (let i = 0; i < probabilities.length; i += 1) probabilities[i] *= left;
  for (let i = start; i < end; i += 1) probabilities[tokens[i]] += codebook[shares[i]] / (total + backoff);
  return left;
}

// Binary search for a token among the ascending ones from `start` to before `end`; -1 if it is not there.
function find(tokens, token, start, end) {
  let [low, high] = [start, end];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (tokens[middle] < token) low = middle + 1;
    else high = middle;
  }
  return low < end && tokens[low] === token ? low : -1;
}

function readHeader(buffer) {
  const size = buffer.byteLength < 8 ? -1 : Number(new DataView(buffer).getBigUint64(0, true));
  require(size >= 0 && size <= Math.min(buffer.byteLength - 8, MAX_HEADER), "it is no n-gram model");
  try {
    const header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(new Uint8Array(buffer, 8, size)));
    require(typeof header === "object" && header !== null, "it is no n-gram model");
    return { header, start: 8 + size };
  } catch {
    throw new Error("it is no n-gram model");
  }
}

function readArray(buffer, start, header, name, dtype, expectedLength) {
  const { dtype: found, shape: [length] = [], data_offsets: [first, last] = [] } = header[name] ?? {};
  const { BYTES_PER_ELEMENT: size } = ARRAYS[dtype];
  const isInside = [length, first, last].every(Number.isInteger) && first >= 0 && last <= buffer.byteLength - start
    && length >= 0 && last - first === length * size && (start + first) % size === 0;
  require(found === dtype && isInside && (expectedLength ?? length) === length, `its array ${name} is damaged`);
  return new ARRAYS[dtype](buffer, start + first, length);
}
