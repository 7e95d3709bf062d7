import { cleanString, normalizeTweet } from "./cleaning.js";

// Only this many characters at the end of a text are read, as in src/demo/server.py.
const MAX_READ = 500;
const MAX_LETTERS = 40;

// Splits a text into its complete words, cleaned, and the letters of a half-typed last word, or "". Returns null for a
// text that can't be completed. It does what `split_prefix` of src/text/prefixes.py does.
export function splitPrefix(text, completesFirstWords) {
  const characters = Array.from(text);
  const isCut = characters.length > MAX_READ;
  if (isCut) text = afterFirstSpace(characters.slice(-MAX_READ).join(""));
  const firstWords = completesFirstWords && !isCut;
  const normalized = normalizeTweet(text);
  const cleaned = cleanString(normalized);
  if (cleaned === "" && (!firstWords || /[\p{L}\p{N}]/u.test(normalized))) return null;
  // If the last word is still open, one more letter extends it.
  if (cleaned === "" || cleanString(normalizeTweet(`${text}x`)) !== `${cleaned}x`) return { words: cleaned, typed: "" };
  const start = cleaned.lastIndexOf(" ") + 1;
  const typed = cleaned.slice(start);
  if (typed.length > MAX_LETTERS) return { words: cleaned, typed: "" };
  const words = cleaned.slice(0, Math.max(start - 1, 0));
  return words === "" && !firstWords ? null : { words, typed };
}

function afterFirstSpace(text) {
  const space = text.indexOf(" ");
  return space === -1 ? "" : text.slice(space + 1);
}
