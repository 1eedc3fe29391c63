/** What chapter 10 asks of a piano roll: which steps are triads, and which notes are held. */

/** @typedef {readonly number[]} Chord the keys that sound in a step, from 0, the lowest of the piano */
/** @typedef {{ key: number, start: number, length: number }} Note in steps */

/** The MIDI number of the lowest key. */
export const LOWEST = 21;
const NAMES = ["C", "C♯", "D", "E♭", "E", "F", "F♯", "G", "A♭", "A", "B♭", "B"];

const TRIADS = new Set(Array.from({ length: 12 }, (_, root) => [[0, 4, 7], [0, 3, 7]].map((steps) => classes(steps.map((s) => s + root)))).flat());

/** @param {readonly number[]} pitches @returns {string} their pitch classes */
function classes(pitches) {
  return [...new Set(pitches.map((pitch) => pitch % 12))].sort((a, b) => a - b).join(" ");
}

/**
 * Whether the pitch classes of a step are a major or a minor triad.
 * @param {Chord} chord
 * @returns {boolean}
 */
export function isTriad(chord) {
  return TRIADS.has(classes(chord.map((key) => key + LOWEST)));
}

/**
 * Each run of steps in which a key sounds, as one note.
 * @param {readonly Chord[]} chords
 * @returns {Note[]}
 */
export function notesOf(chords) {
  /** @type {Note[]} */
  const notes = [];
  /** @type {Map<number, Note>} */
  let held = new Map();
  chords.forEach((chord, start) => {
    /** @type {Map<number, Note>} */
    const now = new Map();
    for (const key of chord) {
      const note = held.get(key) ?? { key, start, length: 0 };
      if (!note.length++) notes.push(note);
      now.set(key, note);
    }
    held = now;
  });
  return notes;
}

/**
 * @param {number} key
 * @returns {string} as C4, where C4 is the middle of the piano
 */
export function nameOf(key) {
  const midi = key + LOWEST;
  return `${NAMES[midi % 12]}${Math.floor(midi / 12) - 1}`;
}
