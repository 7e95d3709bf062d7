import { store, stored } from "../storage.js";
import { InBrowser } from "./in_browser.js";

const STORED_SWITCH = "tweet completion in this browser";
const [ON, OFF] = ["on", "off"];

// The switch "In this browser" and the sentence below the settings that says how far it is.
export class InBrowserSwitch {
  // `page` has the functions `askAgain()` and `announce(sentence)`.
  constructor(page) {
    const element = (id) => document.getElementById(id);
    [this.label, this.box, this.state] = ["in-browser-label", "in-browser", "in-browser-state"].map(element);
    [this.page, this.model] = [page, null];
    // Promises of models and the models, by their folders.
    [this.loading, this.loaded] = [new Map(), new Map()];
    this.box.checked = stored(STORED_SWITCH) === ON;
    this.box.addEventListener("change", () => {
      store(STORED_SWITCH, this.box.checked ? ON : OFF);
      this.update();
      this.page.askAgain();
    });
  }

  // Shows the switch if this model can run in the browser; null is none.
  choose(model) {
    this.model = model;
    this.label.hidden = !model?.device;
    this.update();
  }

  get isOn() {
    return this.box.checked && !this.label.hidden;
  }

  // Returns the model that runs in this browser in place of the server's; undefined if there is none yet.
  replacement(model) {
    return this.isOn ? this.loaded.get(model.device) : undefined;
  }

  say(sentence) {
    this.state.textContent = sentence;
    this.state.hidden = sentence === "";
  }

  update() {
    if (this.isOn) this.load(this.model.device);
    else this.say("");
  }

  async load(folder) {
    const isShown = () => this.isOn && this.model.device === folder;
    const progress = (megabytes) => {
      if (isShown()) this.say(`Loading: ${megabytes} MB so far. The server answers.`);
    };
    try {
      if (!this.loading.has(folder)) this.loading.set(folder, InBrowser.load(folder, progress));
      const isNew = !this.loaded.has(folder);
      this.loaded.set(folder, await this.loading.get(folder));
      if (!isShown()) return;
      this.say(`Ready: ${this.loaded.get(folder).megabytes} MB are loaded, and the server is not needed.`);
      this.page.announce(this.state.textContent);
      if (isNew) this.page.askAgain();
    } catch (error) {
      this.loading.delete(folder);
      if (!isShown()) return;
      this.box.checked = false;
      this.say(`The model can't run in this browser: ${error.message}.`);
      this.page.announce(this.state.textContent);
    }
  }
}
