// A suggestion has the words that its chip shows, the rest of them that is not typed yet, and the probability, from 0
// to 1, that its first word is the next word; null if this is unknown.

// Returns a model's suggestions for a text. Throws an error with a sentence for the person who types.
export async function requestSuggestions(model, text, signal) {
  const response = await fetch("suggestions", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    // The cut must not leave half an emoji at the start.
    body: JSON.stringify({ model, text: text.slice(-2000).replace(/^[\uDC00-\uDFFF]/, "") }),
    signal,
  });
  const answer = await response.json().catch(() => ({ detail: `The server failed (${response.status}).` }));
  if (!response.ok) throw new Error(typeof answer.detail === "string" ? answer.detail : "The server refused the text.");
  const suggestions = answer.suggestions.map(({ text: words, next_word_probability: probability }) =>
    withRest({ words, probability }, answer.typed, text));
  return { suggestions, milliseconds: answer.milliseconds };
}

// Returns the suggestion with what it adds to the text: without the typed letters, after a space if one is needed.
export function withRest(suggestion, typed, text) {
  const { words } = suggestion;
  if (typed && words.startsWith(typed)) return { ...suggestion, rest: words.slice(typed.length) };
  return { ...suggestion, rest: text === "" || /\s$/.test(text) ? words : " " + words };
}

// Returns the suggestions that still fit after these characters were typed. They stay visible until the answer arrives.
export function stillFitting(suggestions, added) {
  return suggestions.filter((one) => one.rest.startsWith(added)).map((one) => {
    const rest = one.rest.slice(added.length);
    const wordStart = one.words.lastIndexOf(" ", one.words.length - rest.length - 1) + 1;
    return { words: one.words.slice(wordStart), rest, probability: wordStart === 0 ? one.probability : null };
  });
}

export function inWords(probability) {
  if (probability === null) return "";
  const cases = Math.round(10 * probability);
  if (cases === 0) return "right in fewer than 1 of 10 cases";
  if (cases === 10) return "right in more than 9 of 10 cases";
  return `right in about ${cases} of 10 cases`;
}
