// Counts characters and keys as the simulation of typing does. A key types or deletes a character, or takes a
// suggestion. A pasted text counts as typed. An empty box starts a new count.
export class KeyCount {
  characters = [];
  keys = 0;

  update(text, isTaken) {
    const characters = Array.from(text);
    this.keys += isTaken ? 1 : Math.max(1, numInserted(this.characters, characters));
    if (characters.length === 0) this.keys = 0;
    this.characters = characters;
  }

  toString() {
    const length = this.characters.length;
    if (length === 0) return "No keys yet";
    const saved = length - this.keys;
    const share = saved > 0 ? `${saved} saved (${((100 * saved) / length).toFixed(0)}%)` : "none saved";
    return `${number(length, "character")}, ${number(this.keys, "key")}: ${share}`;
  }
}

const number = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;

// Returns how many characters replace the part that changed.
function numInserted(before, after) {
  const most = Math.min(before.length, after.length);
  let start = 0;
  while (start < most && before[start] === after[start]) start += 1;
  let end = 0;
  while (end < most - start && before.at(-1 - end) === after.at(-1 - end)) end += 1;
  return after.length - start - end;
}
