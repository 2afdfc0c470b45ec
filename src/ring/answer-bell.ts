/**
 * One word of shared memory by which a thread waits for an answer that comes as a message, without a turn of its event loop.
 * The message is posted first, then the bell is rung.
 */
export type AnswerBell = Int32Array

export function createAnswerBell(): AnswerBell {
  return new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT))
}

/** Reads how often it was rung: before the question. */
export function ringsOf(bell: AnswerBell): number {
  return Atomics.load(bell, 0)
}

export function ring(bell: AnswerBell): void {
  Atomics.add(bell, 0, 1)
  Atomics.notify(bell, 0)
}

/** Returns when it has been rung since, or the time is over. */
export function waitForRing(bell: AnswerBell, rings: number, timeoutMs: number): void {
  Atomics.wait(bell, 0, rings, timeoutMs)
}
