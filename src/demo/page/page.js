"use strict";

// One box for each model that is shown. A box ignores all answers but that to its newest question.
const boxes = [];
const everyModel = "side by side";
const settings = { model: document.getElementById("model"), threshold: document.getElementById("threshold") };
const strokes = { made: 0, saved: 0 };

class Box {
  constructor(model) {
    const copy = document.getElementById("box").content.cloneNode(true);
    this.root = copy.querySelector(".box");
    this.text = copy.querySelector("textarea");
    this.mirror = copy.querySelector(".mirror");
    this.typed = copy.querySelector(".typed");
    this.ghost = copy.querySelector(".ghost");
    this.latency = copy.querySelector(".latency");
    this.alternatives = copy.querySelector(".alternatives");
    copy.querySelector("h2").textContent = model.name;
    copy.querySelector(".about").textContent = model.about;
    this.model = model.name;
    this.newestQuestion = 0;
    this.request = null;
    this.suggestions = [];
    this.dismissed = false;
    this.text.addEventListener("input", () => this.changed());
    this.text.addEventListener("keydown", (event) => this.key(event));
    this.text.addEventListener("scroll", () => { this.mirror.scrollTop = this.text.scrollTop; });
    for (const name of ["click", "keyup", "focus", "blur"]) this.text.addEventListener(name, () => this.show());
  }

  changed() {
    this.dismissed = false;
    this.suggest([]);
    this.ask();
  }

  suggest(suggestions) {
    this.suggestions = suggestions;
    this.listAlternatives();
    this.show();
  }

  async ask() {
    const question = ++this.newestQuestion;
    if (this.request) this.request.abort();
    this.request = new AbortController();
    const text = this.text.value;
    if (text.trim() === "") { this.latency.textContent = ""; showError(""); return; }
    try {
      const response = await fetch("suggestions", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        // The cut must not leave half an emoji at the start.
        body: JSON.stringify({ model: this.model, text: text.slice(-2000).replace(/^[\uDC00-\uDFFF]/, "") }),
        signal: this.request.signal,
      });
      const answer = await response.json().catch(() => ({ detail: `The server failed (${response.status}).` }));
      // More has been typed since.
      if (question !== this.newestQuestion) return;
      if (!response.ok) throw new Error(typeof answer.detail === "string" ? answer.detail : "The server refused the text.");
      showError("");
      this.suggest(answer.suggestions.map((one) => ({
        text: one.text,
        rest: continuation(one.text, answer.typed, text),
        probability: Math.exp(one.confidence),
      })));
      this.latency.textContent = `${answer.milliseconds.toFixed(1)} ms`;
    } catch (error) {
      if (error.name === "AbortError" || question !== this.newestQuestion) return;
      showError(error instanceof TypeError ? "The server does not answer. Is it still running?" : error.message);
    }
  }

  // Returns the text to show at the caret, or "".
  ghostText() {
    const atEnd = this.text.selectionStart === this.text.value.length;
    const [best] = this.suggestions;
    const isSure = best && best.probability * 100 >= Number(settings.threshold.value);
    return atEnd && isSure && !this.dismissed ? best.rest : "";
  }

  show() {
    this.typed.textContent = this.text.value;
    this.ghost.textContent = this.ghostText();
    this.mirror.scrollTop = this.text.scrollTop;
  }

  listAlternatives() {
    this.alternatives.replaceChildren(...this.suggestions.map((one) => {
      const item = document.createElement("li");
      const button = document.createElement("button");
      const confidence = document.createElement("span");
      button.type = "button";
      button.textContent = `${one.text} `;
      confidence.className = "confidence";
      confidence.textContent = `${(one.probability * 100).toFixed(0)}% per token`;
      button.append(confidence);
      button.addEventListener("click", () => { this.accept(one.rest); this.text.focus(); });
      item.append(button);
      return item;
    }));
  }

  key(event) {
    if (!event.isComposing && !["Shift", "Control", "Alt", "Meta"].includes(event.key)) count(1, 0);
    const ghost = this.ghostText();
    if (ghost === "") return;
    const all = event.key === "End" || (event.key === "Tab" && event.shiftKey);
    if (all) this.accept(ghost);
    else if (event.key === "Tab" || event.key === "ArrowRight") this.accept(/^\s*\S+/.exec(ghost)[0]);
    else if (event.key === "Escape") { this.dismissed = true; this.show(); }
    else return;
    event.preventDefault();
  }

  accept(words) {
    const rest = this.suggestions.find((one) => one.rest.startsWith(words)).rest.slice(words.length);
    this.text.value += words;
    this.text.selectionStart = this.text.selectionEnd = this.text.value.length;
    // Accepting took one keystroke.
    count(0, words.length - 1);
    this.text.dispatchEvent(new Event("input"));
    // The rest of the suggestion stays visible until the answer arrives.
    if (rest) this.suggest([{ text: rest.trim(), rest, probability: 1 }]);
  }
}

// Returns what a suggestion adds to the text: without the typed letters, after a space if one is needed.
function continuation(suggestion, typed, text) {
  if (typed && suggestion.startsWith(typed)) return suggestion.slice(typed.length);
  return /\s$/.test(text) ? suggestion : " " + suggestion;
}

function count(made, saved) {
  strokes.made += made;
  strokes.saved += saved;
  const share = (100 * strokes.saved) / Math.max(1, strokes.made + strokes.saved);
  document.getElementById("saved").textContent =
    `${strokes.made} keystrokes made, ${strokes.saved} saved (${share.toFixed(0)}%).`;
}

function showError(message) {
  const place = document.getElementById("error");
  place.textContent = message;
  place.hidden = message === "";
}

function rebuild(models) {
  const text = boxes.length ? boxes[0].text.value : "";
  const chosen = models.filter((model) =>
    settings.model.value === everyModel ? model.side_by_side : model.name === settings.model.value);
  // Answers to the removed boxes are ignored.
  for (const box of boxes) box.newestQuestion += 1;
  boxes.splice(0, boxes.length, ...chosen.map((model) => new Box(model)));
  document.getElementById("boxes").replaceChildren(...boxes.map((box) => box.root));
  for (const box of boxes) {
    box.text.value = text;
    // Side by side, all boxes have the same text.
    box.text.addEventListener("input", () => {
      for (const other of boxes) if (other !== box) { other.text.value = box.text.value; other.changed(); }
    });
    box.changed();
  }
  boxes[0].text.focus();
}

// Other runs have their own group in the list.
function listModels(models) {
  const options = (some) => some.map((model) => new Option(model.name));
  const main = models.filter((model) => model.side_by_side);
  const others = models.filter((model) => !model.side_by_side);
  settings.model.append(...options(main));
  if (main.length > 1) settings.model.add(new Option(everyModel));
  if (others.length === 0) return;
  const group = document.createElement("optgroup");
  group.label = "other runs";
  group.append(...options(others));
  settings.model.append(group);
}

async function start() {
  const models = await (await fetch("models")).json();
  listModels(models);
  settings.model.addEventListener("change", () => rebuild(models));
  settings.threshold.addEventListener("input", () => {
    document.getElementById("threshold-value").textContent = `${settings.threshold.value}%`;
    for (const box of boxes) box.show();
  });
  document.getElementById("settings").addEventListener("submit", (event) => event.preventDefault());
  rebuild(models);
}

start().catch(() => showError("The server does not answer. Is it still running?"));
