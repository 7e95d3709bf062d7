const MAX_TEXTS = 256;

// Keeps what a model has read of the texts that are being typed, so that a keystroke reads little again. It does what
// src/deploy/read_texts.py does.
export class ReadTexts {
  // `predict(logits, ids)` gives the probabilities of the token after a text.
  constructor(lstm, predict) {
    [this.lstm, this.predict, this.texts] = [lstm, predict, new Map()];
  }

  has(ids) {
    return this.texts.has(ids.join());
  }

  // Reads a text, but not again its longest known beginning. Returns the probabilities of the next token.
  async readPrompt(ids) {
    let known = ids.length;
    while (known > 0 && !this.has(ids.slice(0, known))) known -= 1;
    if (known < ids.length) {
      const state = known ? this.recall(ids.slice(0, known)).state : null;
      this.keep([ids], await this.lstm.read([ids.slice(known)], [state]));
    }
    return this.recall(ids).probabilities;
  }

  // Reads texts that are known but for their last tokens.
  async readNext(texts) {
    const unknown = texts.filter((ids) => !this.has(ids));
    if (unknown.length) {
      const states = unknown.map((ids) => this.recall(ids.slice(0, -1)).state);
      this.keep(unknown, await this.lstm.read(unknown.map((ids) => ids.slice(-1)), states));
    }
    return texts.map((ids) => this.recall(ids).probabilities);
  }

  // Keeps only the texts that were used last.
  forget() {
    for (const key of [...this.texts.keys()].slice(0, -MAX_TEXTS)) this.texts.delete(key);
  }

  keep(texts, rows) {
    rows.forEach(({ logits, state }, row) => {
      this.texts.set(texts[row].join(), { probabilities: this.predict(logits, texts[row]), state });
    });
  }

  recall(ids) {
    const key = ids.join();
    const text = this.texts.get(key);
    // Moved to the end of the map, so the text that was used last is forgotten last.
    this.texts.delete(key);
    this.texts.set(key, text);
    return text;
  }
}
