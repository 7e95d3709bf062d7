import { Box } from "./box.js";
import { InBrowserSwitch } from "./in_browser/switch.js";
import { KeyCount } from "./keys.js";
import { store, stored } from "./storage.js";
import { requestSuggestions } from "./suggestions.js";

const STORED_MODEL = "model of the tweet completion page";
// A screen reader hears the suggestions when typing has paused for so long.
const PAUSE_IN_MILLISECONDS = 1000;

const element = (id) => document.getElementById(id);
const [modelList, compare, threshold] = ["model", "compare", "threshold"].map(element);
const keyCount = new KeyCount();
let boxes = [];
let pause = 0;

const page = {
  ask(model, text, signal) {
    const replacement = inBrowser.replacement(model);
    return replacement ? replacement.ask(text, signal) : requestSuggestions(model.name, text, signal);
  },

  askAgain() {
    for (const box of boxes) box.ask();
  },

  isSure: ({ probability }) => probability === null || probability >= Number(threshold.value) / 100,

  // Side by side, all boxes have the same text.
  edited(box, isTaken) {
    clearTimeout(pause);
    for (const other of boxes) if (other !== box) other.setText(box.text.value);
    keyCount.update(box.text.value, isTaken);
    element("saved").textContent = String(keyCount);
  },

  announce(sentence) {
    clearTimeout(pause);
    if (element("announcement").textContent !== sentence) element("announcement").textContent = sentence;
  },

  announceSoon(sentence) {
    clearTimeout(pause);
    pause = setTimeout(() => page.announce(sentence), PAUSE_IN_MILLISECONDS);
  },

  showErrors() {
    showError(boxes.map((box) => box.error).find(Boolean) ?? "");
  },
};

const inBrowser = new InBrowserSwitch(page);

function showError(message) {
  element("error").textContent = message;
  element("error").hidden = message === "";
}

function showBoxes(models) {
  const chosen = models.filter((one) => (compare.checked ? one.side_by_side : one.name === modelList.value));
  const text = boxes.length ? boxes[0].text.value : "";
  for (const box of boxes) box.withdraw();
  inBrowser.choose(compare.checked ? null : chosen[0]);
  boxes = chosen.map((model) => new Box(model, text, page));
  modelList.disabled = compare.checked;
  element("boxes").className = compare.checked ? "" : "alone";
  element("boxes").replaceChildren(...boxes.map((box) => box.root));
}

// Other runs have their own group in the list.
function listModels(models) {
  const options = (some) => some.map((model) => new Option(model.name));
  const others = models.filter((model) => !model.side_by_side);
  modelList.append(...options(models.filter((model) => model.side_by_side)));
  if (others.length === 0) return;
  const group = document.createElement("optgroup");
  group.label = "other runs";
  group.append(...options(others));
  modelList.append(group);
}

function chooseThreshold() {
  const share = `${threshold.value}%`;
  element("threshold-value").textContent = share;
  threshold.setAttribute("aria-valuetext", share);
  for (const box of boxes) box.show();
}

async function start() {
  const models = await (await fetch("models")).json();
  const lastChosen = stored(STORED_MODEL);
  listModels(models);
  if (models.some((model) => model.name === lastChosen)) modelList.value = lastChosen;
  element("compare-label").hidden = models.filter((model) => model.side_by_side).length < 2;
  modelList.addEventListener("change", () => { store(STORED_MODEL, modelList.value); showBoxes(models); });
  compare.addEventListener("change", () => showBoxes(models));
  threshold.addEventListener("input", chooseThreshold);
  element("settings").addEventListener("submit", (event) => event.preventDefault());
  showBoxes(models);
  boxes[0].text.focus();
}

start().catch(() => showError("The server does not answer. Is it still running?"));
