/**
 * Whose failure it is when a plugin comes to its deadline: its own, or that of whoever took its time. A breaker counts what
 * is the plugin's own, and nothing else; so no caller, neighbour or pause of the machine takes a plugin away from everybody.
 * Host's thread only.
 *
 *   plugin's own    it threw, crashed, hung, gave no valid verdict, or had had its own time
 *   caller          the call's timeoutMs came before the plugin's own deadline
 *   waiting         its time had passed in a queue, behind a neighbour, or while the process stood still
 *   neighbour       another plugin took their lane down
 */
import type { CutShortBy } from '../../contracts/verdict.js'
import type { Call } from '../model/call.js'
import type { ActivePlugin } from '../model/plugin.js'

/** A plugin that had this share of its time had its time: a lane takes a moment to begin, longer on a busy machine. */
const OWN_SHARE = 0.5
/** Before its caller's deadline by this share of the time that it was given, a plugin may already have given up for it. */
const GIVING_UP_SHARE = 0.1
/** The same in milliseconds, at least. */
const GIVING_UP_MS = 2

export interface Turn {
  /** When the plugin's own time ends, whatever its caller gives it (monotonic ms). */
  readonly ownDueMs: number
  /** When the turn ended. */
  readonly endMs: number
  /** How long the plugin ran, without what the process stood still. */
  readonly ranMs: number
}

/** Who ended the turn of a plugin that came to its deadline; undefined: the plugin had its own time. */
export function cutShortBy(call: Call, { timeoutMs }: ActivePlugin, turn: Turn): CutShortBy | undefined {
  const { capMs } = call.rare
  if (capMs < turn.ownDueMs && capMs <= turn.endMs) return 'caller'
  return turn.ranMs < timeoutMs * OWN_SHARE ? 'waiting' : undefined
}

/**
 * The same of a plugin that threw: one that passes its deadline on to what it asks (a request, a query) throws when that
 * gives up, at about the time that its caller gave it.
 */
export function cutShortWhenThrowing(call: Call, turn: Turn): CutShortBy | undefined {
  const { capMs } = call.rare
  if (capMs >= turn.ownDueMs) return undefined
  const slackMs = Math.max(GIVING_UP_MS, (capMs - call.tripMs) * GIVING_UP_SHARE)
  return turn.endMs >= capMs - slackMs ? 'caller' : undefined
}
