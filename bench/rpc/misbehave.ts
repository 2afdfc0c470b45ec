/**
 * The hook of case `rpc`, good and bad: what a message asks for by its length. Runs wherever the mode puts it: on the
 * server's thread, in a pool's worker, in a lane. The client chooses, so it knows which calls may fail.
 */
export const HOOKS = ['fast', 'sleeps', 'spins', 'throws'] as const
export type HookName = (typeof HOOKS)[number]

/** Payload length of a message that nothing is wrong with. */
export const PLAIN_BYTES = 64
/** Payload lengths that make the hook misbehave. */
export const MARKED_BYTES: Readonly<Record<HookName, number>> = { fast: 64, sleeps: 65, spins: 66, throws: 67 }

export const SLEEP_MS = 50

const never = new Int32Array(new SharedArrayBuffer(4))

export function misbehave(payloadBytes: number): void {
  switch (payloadBytes) {
    case MARKED_BYTES.sleeps:
      // Blocks the thread and leaves its CPU to others, as a synchronous read or query would.
      Atomics.wait(never, 0, 0, SLEEP_MS)
      return
    case MARKED_BYTES.spins:
      for (;;);
    case MARKED_BYTES.throws:
      throw new Error('the hook threw')
  }
}
