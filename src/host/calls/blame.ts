/**
 * Decides whose failure it is when a plugin comes to its deadline: the plugin's own, or that of whoever took its time. A
 * breaker counts only what is the plugin's own, so no caller, neighbour or pause of the machine can have a plugin
 * quarantined for everybody. Host's thread only.
 *
 *   plugin's own    it threw, crashed, hung, gave no valid verdict, or used up its own time
 *   caller          the call's timeoutMs came before the plugin's own deadline
 *   waiting         its time passed in a queue, behind a neighbour, or while the process stood still
 *   neighbour       another plugin took their lane down
 */
import type { CutShortBy } from '../../contracts/verdict.js'
import type { Call } from '../model/call.js'
import type { ActivePlugin } from '../model/plugin.js'

/**
 * A plugin that ran for this share of its time has had its time: a lane takes a moment to begin, longer on a busy
 * machine.
 */
const OWN_SHARE = 0.5
/**
 * A plugin that throws this share of the caller's time before the caller's deadline may have given up because of that
 * deadline.
 */
const GIVING_UP_SHARE = 0.1
/** The least such time, in milliseconds. */
const GIVING_UP_MS = 2

export interface Turn {
  /** When the plugin's own time ends, whatever limit its caller set (monotonic ms). */
  readonly ownDueMs: number
  /** When the turn ended (monotonic ms). */
  readonly endMs: number
  /** How long the plugin ran, without the time in which the process stood still. */
  readonly ranMs: number
}

/** Who cut a plugin short that came to its deadline; undefined: it has had its own time. */
export function cutShortBy(call: Call, { timeoutMs }: ActivePlugin, turn: Turn): CutShortBy | undefined {
  const { capMs } = call.rare
  if (capMs < turn.ownDueMs && capMs <= turn.endMs) return 'caller'
  return turn.ranMs < timeoutMs * OWN_SHARE ? 'waiting' : undefined
}

/**
 * Who cut a plugin short that threw; undefined: nobody. A plugin that passes its deadline on to a request or a query
 * throws when that gives up, at about its caller's deadline.
 */
export function cutShortWhenThrowing(call: Call, turn: Turn): CutShortBy | undefined {
  const { capMs } = call.rare
  if (capMs >= turn.ownDueMs) return undefined
  const slackMs = Math.max(GIVING_UP_MS, (capMs - call.tripMs) * GIVING_UP_SHARE)
  return turn.endMs >= capMs - slackMs ? 'caller' : undefined
}
