// Completes texts beside the page, so that typing never waits. Messages in: `{ folder }` loads a completer, `{ words,
// typed }` asks it. Messages out: `{ bytes }` were loaded, `{ result }`, or `{ problem }` in a sentence.

import { loadCompleter } from "./completer.js";

let completer;

async function load({ folder }) {
  completer = await loadCompleter(folder, (bytes) => postMessage({ bytes }));
  return { completesFirstWords: completer.completesFirstWords };
}

async function complete({ words, typed }) {
  const started = performance.now();
  const suggestions = await completer.complete(words, typed);
  return { suggestions, milliseconds: performance.now() - started };
}

onmessage = async ({ data }) => {
  try {
    postMessage({ result: await (data.folder ? load(data) : complete(data)) });
  } catch (error) {
    postMessage({ problem: error.message });
  }
};
