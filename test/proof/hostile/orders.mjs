/**
 * The words that the campaign and the attacker share, in memory that is no part of any ring: the attacker has to be told
 * when to end, and has to tell how many completions it has pushed. They belong to the campaign and outlive lanes.
 */

/**
 * Campaign: the seed of the attack that is wanted, 0 for none. An attacker of another seed ends its lane by a plain breach of
 * the protocol.
 */
export const WANTED_WORD = 0
/** Attacker: the seed of the attack that is in force. */
export const IN_FORCE_WORD = 1
/** Attacker: completions pushed so far (wraps). */
export const PUSHED_WORD = 2
/** Attacker: doorbells rung so far (wraps). */
export const RUNG_WORD = 3
/** Campaign: milliseconds that a plugin of the attacker's has for a call. */
export const TIMEOUT_WORD = 4

export function createOrders() {
  return new Int32Array(new SharedArrayBuffer(8 * 4))
}

/** A small generator whose whole state is one number: the same on both sides and in every Node.js. */
export function createRandom(seed) {
  let state = seed >>> 0
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let value = Math.imul(state ^ (state >>> 15), state | 1)
    value ^= value + Math.imul(value ^ (value >>> 7), value | 61)
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32
  }
  return {
    next,
    below: (count) => Math.floor(next() * count),
    chance: (share) => next() < share,
    pick: (list) => list[Math.floor(next() * list.length)],
    word: () => Math.floor(next() * 2 ** 32) | 0,
  }
}
