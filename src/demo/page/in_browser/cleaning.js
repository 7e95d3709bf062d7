// Turns a raw tweet into lower-case words. It does what src/text/cleaning.py does and explains.

// What Python calls white space.
const SPACE = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const SPACES = new RegExp(`[${SPACE}]+`);
const MAX_MISREADINGS = 5;
const UTF8_READ_AS_LATIN1 = /[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}/g;
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const windows1252 = new TextDecoder("windows-1252");

// In a pattern that minds capitals, matches these letters in both cases.
const anyCase = (letters) => letters.replace(/[a-z]/g, (letter) => `[${letter}${letter.toUpperCase()}]`);
const ENDINGS = "com|net|org|edu|gov|info";
const SHORT_ENDINGS = "ly|tv|fm|gl|gd|co|de|fr|nl|eu|ca|au|br|jp";
const TWO = "[a-zA-Z]{2}";
const REST = "[^ \\t-\\r]*";
const NAME = "(?<![\\w-])[\\w-]+(?:\\.[\\w-]+){0,9}\\.";
const ADDRESS = new RegExp(
  `(?:${anyCase("http")}[sS]?[:/]|${anyCase("ftp")}:/{2}|(?<!\\w)${anyCase("www")}\\.)${REST}`
    + `|${NAME}(?:(?:${anyCase(ENDINGS)}|${anyCase("co")}\\.${TWO})(?:\\.${TWO})?`
    + `|(?:${anyCase("ac")}\\.)?${anyCase("uk")}|${anyCase(SHORT_ENDINGS)})\\b(?:[/?#]${REST}|:\\d${REST})?`
    + `|${NAME}(?<!\\d\\.)${TWO}/(?=[^ \\t-\\r]{0,40}?(?:\\d|[a-z][A-Z]))${REST}`,
  "g",
);
const RETWEET_MARK = /\brt[ \t-\r]*(?::[ \t-\r]*)?@\w+:?/gi;
const MENTION = /@\w+/g;
const NOT_KEPT = new RegExp(`[^a-z0-9${SPACE}]`, "g");
const BETWEEN_WORDS = new RegExp(`(?<=[a-zA-Z0-9])[^a-zA-Z0-9${SPACE}]+(?=[a-zA-Z0-9])`, "g");

const APOSTROPHES = "’‘‛ʼʻʽˈ´′‵ꞌ՚\x91\x92\ufffd";
const PLAIN = new Map([
  ...Array.from(APOSTROPHES, (mark) => [mark, "'"]),
  ...Object.entries({ ß: "ss", ẞ: "SS", æ: "ae", Æ: "AE", œ: "oe", Œ: "OE", ø: "o", Ø: "O", ł: "l", Ł: "L" }),
  ...Object.entries({ đ: "d", Đ: "D", ð: "d", Ð: "D", þ: "th", Þ: "Th", ħ: "h", Ħ: "H", ı: "i", ŋ: "n" }),
  ...Object.entries({ "™": " ", "℠": " ", "\u200b": " ", "¼": " 1/4 ", "½": " 1/2 ", "¾": " 3/4 " }),
]);
const NOT_PLAIN = new RegExp(`[${[...PLAIN.keys()].join("")}]`, "g");
const NOT_SPACING = /[\p{Mn}\p{Me}\p{Cf}]/gu;

function repairMatch(match) {
  try { return utf8.decode(Uint8Array.from(match, (letter) => letter.charCodeAt(0))); } catch { return match; }
}

function repairEncoding(text) {
  for (let i = 0; i < MAX_MISREADINGS; i += 1) {
    const repaired = text.replace(UTF8_READ_AS_LATIN1, repairMatch);
    if (repaired === text) break;
    text = repaired;
  }
  return text;
}

// Python and browsers treat numbers that stand for no character differently. This is Python's way.
function numberedEntity(digits) {
  const number = /^x/i.test(digits) ? parseInt(digits.slice(1), 16) : parseInt(digits, 10);
  if (number >= 0x80 && number <= 0x9f) return windows1252.decode(Uint8Array.of(number));
  if (number === 0 || (number >= 0xd800 && number <= 0xdfff) || number > 0x10ffff) return "\ufffd";
  const isControl = (number < 0x20 && ![9, 10, 12, 13].includes(number)) || number === 0x7f;
  const isNoCharacter = (number >= 0xfdd0 && number <= 0xfdef) || (number & 0xfffe) === 0xfffe;
  return isControl || isNoCharacter ? "" : String.fromCodePoint(number);
}

// The browser's parser knows the names. The letter before the entity keeps it from dropping a line break.
function namedEntity(entity) {
  const area = document.createElement("textarea");
  area.innerHTML = `x${entity}`;
  return area.value.slice(1);
}

function unescapeEntities(text) {
  for (;;) {
    const unescaped = text.replace(/&(?:#(\d+|[xX][0-9a-fA-F]+);?|[a-zA-Z0-9]{1,32};?)/g, (entity, digits) =>
      digits === undefined ? namedEntity(entity) : numberedEntity(digits));
    if (unescaped === text) return text;
    text = unescaped;
  }
}

function plainLetters(text) {
  return text.replace(NOT_PLAIN, (letter) => PLAIN.get(letter)).normalize("NFKD").replace(NOT_SPACING, "");
}

// Repairs a raw tweet and removes what is not words. It needs a document, so a worker can't call it.
export function normalizeTweet(text) {
  const plain = plainLetters(unescapeEntities(repairEncoding(text)));
  const words = plain.replace(ADDRESS, " ").replace(RETWEET_MARK, " ").replace(MENTION, " ");
  return words.replace(/['`]/g, "").replace(BETWEEN_WORDS, " ");
}

// Lower-cases a text and keeps only a-z, digits and single spaces.
export function cleanString(text) {
  return text.toLowerCase().replace(NOT_KEPT, "").split(SPACES).filter(Boolean).join(" ");
}
