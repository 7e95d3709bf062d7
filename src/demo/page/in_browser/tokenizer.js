const MARK = "##";

// A WordPiece tokenizer for cleaned texts. It splits each word into the longest tokens that the vocabulary has; tokens
// inside a word begin with "##".
export class Tokenizer {
  // `file` is the content of tokenizer.json, `specialTokens` are the tokens that stand for no text.
  constructor(file, specialTokens) {
    if (file?.model?.type !== "WordPiece") throw new Error("it is no WordPiece tokenizer");
    this.ids = new Map(Object.entries(file.model.vocab));
    this.tokens = [];
    for (const [token, id] of this.ids) this.tokens[id] = token;
    this.unknownId = this.id(file.model.unk_token);
    this.specialTokens = new Set(specialTokens);
  }

  id(token) {
    if (!this.ids.has(token)) throw new Error(`it has no token ${token}`);
    return this.ids.get(token);
  }

  encode(words) {
    return words.split(" ").filter(Boolean).flatMap((word) => this.encodeWord(word));
  }

  encodeWord(word) {
    const ids = [];
    let rest = word;
    while (rest !== "") {
      const mark = ids.length ? MARK : "";
      let end = rest.length;
      while (end > 0 && !this.ids.has(mark + rest.slice(0, end))) end -= 1;
      if (end === 0) return [this.unknownId];
      ids.push(this.ids.get(mark + rest.slice(0, end)));
      rest = rest.slice(end);
    }
    return ids;
  }

  decode(ids) {
    const tokens = ids.map((id) => this.tokens[id]).filter((token) => !this.specialTokens.has(token));
    return tokens.map((token) => (token.startsWith(MARK) ? token.slice(MARK.length) : ` ${token}`)).join("").trim();
  }
}

// Which tokens may begin a suggestion: a new word, or the rest of a half-typed one. See src/text/word_starts.py.
export class WordStarts {
  constructor(tokenizer) {
    this.letters = tokenizer.tokens.map((token) => (token.startsWith(MARK) ? token.slice(MARK.length) : token));
    const ids = [...this.letters.keys()].filter((id) =>
      /^[a-z0-9]/.test(this.letters[id]) && !tokenizer.specialTokens.has(tokenizer.tokens[id]));
    const isMarked = (id) => tokenizer.tokens[id].startsWith(MARK);
    this.first = ids.filter((id) => !isMarked(id));
    this.inside = ids.filter(isMarked);
    this.isInside = this.letters.map(() => false);
    for (const id of this.inside) this.isInside[id] = true;
  }

  // Returns the ids that spell all of the rest of a half-typed word, and those that spell only its beginning.
  spellings(rest, isFirst) {
    const ids = isFirst ? this.first : this.inside;
    if (rest === "") return { spelling: ids, shorter: [] };
    return {
      spelling: ids.filter((id) => this.letters[id].startsWith(rest)),
      shorter: ids.filter((id) => this.letters[id].length < rest.length && rest.startsWith(this.letters[id])),
    };
  }
}
