/** Plays a piano roll, after a touch: each held note is a sum of sines that dies away, as chapter 10's sounds. */

import { LOWEST, notesOf } from "../models/chords.js";

/** @typedef {import("../models/chords.js").Chord} Chord */

/** Seconds of a step. */
const BEAT = 0.45;
const OVERTONES = [0, 1, 1 / 4, 1 / 9], DECAY = 1.5, RISE = 1 / 60, LOUD = 0.16, AHEAD = 0.08; // AHEAD: seconds before the first note

/**
 * A key's tone: A4 is MIDI 69, and all sounds an octave lower, where Bach's voices are.
 * @param {number} key
 * @returns {number} hertz
 */
export function frequencyOf(key) {
  return 220 * 2 ** ((key + LOWEST - 69) / 12);
}

export class Player {
  /** @param {(step: number | null) => void} tell called when another step sounds, from 0, and with null at the end */
  constructor(tell) {
    this.tell = tell;
    /** @type {AudioContext | null} */
    this.context = null;
    this.timer = 0;
  }

  /** @returns {boolean} */
  get playing() {
    return this.context !== null;
  }

  /** Play, from the first step.
   * @param {readonly Chord[]} chords
   */
  play(chords) {
    this.stop();
    const context = new AudioContext(), first = context.currentTime + AHEAD;
    this.context = context;
    void context.resume();
    const master = new GainNode(context, { gain: LOUD });
    master.connect(new DynamicsCompressorNode(context)).connect(context.destination);
    const wave = new PeriodicWave(context, { real: OVERTONES.map(() => 0), imag: OVERTONES });
    for (const { key, start, length } of notesOf(chords)) {
      const from = first + start * BEAT, to = from + (length + 0.5) * BEAT;
      const tone = new OscillatorNode(context, { frequency: frequencyOf(key), periodicWave: wave });
      const loud = new GainNode(context, { gain: 0 });
      loud.gain.setValueAtTime(0, from);
      loud.gain.linearRampToValueAtTime(1, from + RISE);
      loud.gain.setTargetAtTime(0, from + RISE, 1 / DECAY);
      loud.gain.setTargetAtTime(0, to - 0.05, 0.015);
      tone.connect(loud).connect(master);
      tone.start(from);
      tone.stop(to);
    }
    let last = -1;
    this.timer = setInterval(() => {
      const step = Math.floor((context.currentTime - first) / BEAT);
      if (step >= chords.length) this.stop();
      else if (step >= 0 && step !== last) this.tell((last = step));
    }, 40);
  }

  /** Silence. */
  stop() {
    if (!this.context) return;
    clearInterval(this.timer);
    void this.context.close();
    this.context = null;
    this.tell(null);
  }
}
