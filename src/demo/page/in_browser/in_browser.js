import { withRest } from "../suggestions.js";
import { splitPrefix } from "./prefixes.js";

const WHERE = " in this browser";

// A model that runs in this browser, in a worker that answers one question at a time.
export class InBrowser {
  constructor() {
    this.worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
    this.turn = Promise.resolve();
    this.bytes = 0;
  }

  // Loads the model of a folder. Calls `progress(megabytes)` while it loads. Throws an error with a sentence.
  static async load(folder, progress) {
    const model = new InBrowser();
    model.progress = progress;
    try {
      const { completesFirstWords } = await model.send({ folder: new URL(folder, document.baseURI).href });
      model.completesFirstWords = completesFirstWords;
      return model;
    } catch (error) {
      model.worker.terminate();
      throw error;
    }
  }

  get megabytes() {
    return (this.bytes / 1e6).toFixed(1);
  }

  // Returns suggestions for a text, as `requestSuggestions` does. A question that is withdrawn before its turn is not
  // answered.
  async ask(text, signal) {
    const prefix = splitPrefix(text, this.completesFirstWords);
    if (prefix === null) return { suggestions: [], milliseconds: 0, where: WHERE };
    const answer = this.turn.then(() => {
      signal.throwIfAborted();
      return this.send(prefix);
    });
    this.turn = answer.catch(() => {});
    const { suggestions, milliseconds } = await answer;
    return { suggestions: suggestions.map((one) => withRest(one, prefix.typed, text)), milliseconds, where: WHERE };
  }

  send(message) {
    return new Promise((resolve, reject) => {
      this.worker.onerror = () => reject(new Error("this browser can't run the model"));
      this.worker.onmessage = ({ data }) => {
        if (data.bytes) {
          this.bytes += data.bytes;
          this.progress(this.megabytes);
        } else if (data.problem) reject(new Error(data.problem));
        else resolve(data.result);
      };
      this.worker.postMessage(message);
    });
  }
}
