import { inWords, stillFitting } from "./suggestions.js";

// A text box that one model completes. It ignores all answers but that to its newest question.
export class Box {
  // `page` has the functions `ask(model, text, signal)`, `isSure(suggestion)`, `edited(box, isTaken)`,
  // `announce(sentence)`, `announceSoon(sentence)` and `showErrors()`.
  constructor(model, text, page) {
    const copy = document.getElementById("box").content.cloneNode(true);
    const find = (selector) => copy.querySelector(selector);
    [this.root, this.text, this.mirror] = [find(".box"), find("textarea"), find(".mirror")];
    [this.typed, this.ghost, this.latency] = [find(".typed"), find(".ghost"), find(".latency")];
    [this.group, this.chips] = [find(".chips"), [...copy.querySelectorAll(".chip")]];
    find("h2").textContent = model.name;
    find(".about").textContent = model.about;
    this.text.setAttribute("aria-label", `your tweet, completed by ${model.name}`);
    [this.model, this.page] = [model, page];
    [this.newestQuestion, this.request, this.error] = [0, null, ""];
    [this.suggestions, this.shown, this.isGhostHidden] = [[], [], false];
    this.text.value = this.lastText = text;
    this.listen();
    this.ask();
  }

  listen() {
    this.text.addEventListener("input", () => { this.changed(); this.page.edited(this, false); });
    this.text.addEventListener("keydown", (event) => { if (this.obeys(event)) event.preventDefault(); });
    this.text.addEventListener("scroll", () => { this.mirror.scrollTop = this.text.scrollTop; });
    for (const name of ["click", "keyup", "select", "focus"]) this.text.addEventListener(name, () => this.show());
    this.chips.forEach((chip, i) => {
      // The focus stays in the text box, and a phone's keyboard stays open.
      chip.addEventListener("mousedown", (event) => event.preventDefault());
      chip.addEventListener("click", () => this.takeChip(i));
    });
  }

  setText(text) {
    this.text.value = text;
    this.changed();
  }

  changed() {
    const text = this.text.value;
    const fitting = text.startsWith(this.lastText) ? stillFitting(this.suggestions, text.slice(this.lastText.length)) : [];
    this.lastText = text;
    this.isGhostHidden = false;
    this.suggest(fitting);
    this.ask();
  }

  suggest(suggestions) {
    this.suggestions = suggestions;
    this.show();
  }

  async ask() {
    const question = ++this.newestQuestion;
    if (this.request) this.request.abort();
    this.request = new AbortController();
    this.group.setAttribute("aria-busy", "true");
    try {
      const answer = await this.page.ask(this.model, this.text.value, this.request.signal);
      // More has been typed since.
      if (question !== this.newestQuestion) return;
      this.error = "";
      this.latency.textContent = `Answered in ${answer.milliseconds.toFixed(1)} ms${answer.where ?? ""}`;
      this.suggest(answer.suggestions);
      this.announceSuggestions();
    } catch (error) {
      if (question !== this.newestQuestion) return;
      this.error = error instanceof TypeError ? "The server does not answer. Is it still running?" : error.message;
      this.suggest([]);
    }
    this.page.showErrors();
    this.group.setAttribute("aria-busy", "false");
  }

  withdraw() {
    this.newestQuestion += 1;
    if (this.request) this.request.abort();
  }

  // Shows suggestions only while the caret is at the end.
  show() {
    const { value, selectionStart } = this.text;
    this.shown = selectionStart === value.length ? this.suggestions.filter(this.page.isSure) : [];
    this.chips.forEach((chip, i) => {
      const suggestion = this.shown[i];
      chip.hidden = !suggestion;
      chip.textContent = suggestion ? suggestion.words : "";
      chip.title = suggestion ? inWords(suggestion.probability) : "";
    });
    this.typed.textContent = value;
    this.ghost.textContent = this.ghostText();
    this.mirror.scrollTop = this.text.scrollTop;
  }

  ghostText() {
    return this.shown.length && !this.isGhostHidden ? this.shown[0].rest : "";
  }

  announceSuggestions() {
    if (document.activeElement !== this.text) return;
    const list = this.shown.map((one, i) => `${i + 1}: ${one.words}`).join("; ");
    this.page.announceSoon(list && `Suggestions: ${list}`);
  }

  // Returns whether a key has done something here, so that the browser ignores it.
  obeys(event) {
    const { key, code, altKey, shiftKey, ctrlKey, metaKey, isComposing } = event;
    // Windows reports the key AltGr as Ctrl with Alt.
    if (ctrlKey || metaKey || isComposing) return false;
    if (altKey) {
      // The code names the key on every keyboard; with Alt, its character may not be a digit.
      const digit = /^Digit([123])$/.exec(code);
      if (digit) this.takeChip(Number(digit[1]) - 1);
      return digit !== null;
    }
    if (this.ghostText() === "") return false;
    if (key === "End" || (key === "Tab" && shiftKey)) this.takeChip(0);
    else if (key === "Tab" || (key === "ArrowRight" && !shiftKey)) this.takeWord();
    else if (key === "Escape") { this.isGhostHidden = true; this.show(); }
    else return false;
    return true;
  }

  takeChip(i) {
    const suggestion = this.shown[i];
    if (suggestion) this.take(suggestion.rest, suggestion.words);
    this.text.focus();
  }

  takeWord() {
    const [{ rest, words }] = this.shown;
    this.take(/^\s*\S+/.exec(rest)[0], /^\S+/.exec(words)[0]);
  }

  // Adds the rest of words, and a space after them.
  take(rest, words) {
    this.text.value += `${rest} `;
    this.text.selectionStart = this.text.selectionEnd = this.text.value.length;
    this.text.scrollTop = this.text.scrollHeight;
    this.changed();
    this.page.edited(this, true);
    this.page.announce(`Added: ${words}`);
  }
}
