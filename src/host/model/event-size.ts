/** How large an event may become, and how large it is expected to be. Host's thread only. */
import { formatPath, HookringError } from '../../contracts/errors.js'
import { align8 } from '../../ring/layout.js'
import type { HookpointState } from './hookpoint-state.js'

/** Tracks the size of the hookpoint's events: up at once, down slowly. */
export function expectBytes(hookpoint: HookpointState, used: number): void {
  const { expectedBytes } = hookpoint
  hookpoint.expectedBytes = used > expectedBytes ? used : expectedBytes - ((expectedBytes - used + 15) >> 4)
}

/**
 * The next size to try, in bytes, when an event did not fit into `room`. It is aligned, so it may exceed `maxEventBytes` by a
 * few bytes, which the event may not use.
 *
 * @throws HookringError EVENT_TOO_LARGE
 */
export function nextRoom(hookpoint: string, room: number, needed: number, maxEventBytes: number): number {
  if (needed > maxEventBytes || room >= maxEventBytes) {
    throw new HookringError(
      'EVENT_TOO_LARGE',
      `${formatPath([hookpoint])}: the event takes at least ${Math.max(needed, maxEventBytes + 1)} bytes encoded, maxEventBytes is ${maxEventBytes}`,
      { hookpoint },
    )
  }
  return Math.min(align8(Math.max(needed, room * 2)), align8(maxEventBytes))
}
