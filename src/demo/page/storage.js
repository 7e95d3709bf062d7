// A browser may forbid storage, for example in a private window or a notebook's frame. Then nothing is remembered.

export function stored(name) {
  try { return localStorage.getItem(name); } catch { return null; }
}

export function store(name, value) {
  try { localStorage.setItem(name, value); } catch { /* not remembered */ }
}
