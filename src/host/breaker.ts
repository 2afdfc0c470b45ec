/**
 * The breaker: decides when a plugin that fails too often is no longer called (quarantine), and when it is tried again.
 * One per plugin, for the dispatcher and the operator's commands, on the host's thread. Pure: it holds no clock and no
 * timer; `nowMs` is of one monotonic clock.
 *
 *            minFailures in the window, and at least `ratio` of its calls
 *   closed ────────────────────────────────────────────────────────────────> open
 *     ^                                                                     │    ^
 *     │                             cooldown over: the next admit() probes  │    │  the probe fails:
 *     │   the probe succeeds                                                v    │  longer cooldown
 *     └───────────────────────────────────────────────────────────────── half-open
 *
 *   any state ── hold() ──> held            open, half-open, held ── release() ──> closed
 *
 * The cooldown doubles with each reopening in a row, to MAX_COOLDOWN_FACTOR times at most: 1, 2, 4, 8, 12, 12, ...
 */

export type BreakerState = 'closed' | 'open' | 'half-open' | 'held'

/** `probe`: let this one call through and report it by `recordProbe` (or `forgoProbe`). */
export type Admission = 'yes' | 'no' | 'probe'

export type Outcome = 'success' | 'failure'

export interface BreakerOptions {
  /** How far back failures count, to a tenth. */
  windowMs: number
  minFailures: number
  /** Share of the window's calls that must have failed, above 0 and up to 1. */
  ratio: number
  cooldownMs: number
  /** Called after each change of state. */
  onChange?(change: BreakerChange): void
}

export interface BreakerChange {
  from: BreakerState
  to: BreakerState
  nowMs: number
  /** Calls and failures of the window as it was when the breaker last was closed. */
  calls: number
  failures: number
}

export interface Breaker {
  /** Whether a call may be made now. 'no' becomes the failure `quarantined`. */
  admit(nowMs: number): Admission
  /** The outcome of a call that was admitted by 'yes'. Ignored unless closed: it left before the quarantine. */
  record(outcome: Outcome, nowMs: number): void
  /** The outcome of the probe. Every probe must come to this or to forgoProbe; its deadline sees to that. */
  recordProbe(outcome: Outcome, nowMs: number): void
  /** The probe never reached the plugin (aborted, recalled, an earlier reject): the next call is the probe. */
  forgoProbe(nowMs: number): void
  /** The operator's quarantine: lasts until release(). */
  hold(nowMs: number): void
  /** Ends any quarantine and forgets what led to it. */
  release(nowMs: number): void
  readonly state: BreakerState
  /** From when a call is let through as the probe; null unless open. */
  readonly nextProbeMs: number | null
}

export const MAX_COOLDOWN_FACTOR = 12

const CELLS = 10

/** Never opens by itself with `false`; hold() and release() work all the same. */
export function createBreaker(options: BreakerOptions | false): Breaker {
  const { onChange } = options || {}
  const window = options === false ? null : createWindow(options.windowMs)
  let state: BreakerState = 'closed'
  let reopenings = 0
  let probeAtMs = 0

  /** The one transition: every change of state passes here. */
  function enter(to: BreakerState, nowMs: number): void {
    const from = state
    const calls = window?.calls ?? 0
    const failures = window?.failures ?? 0
    state = to
    if (to === 'closed') {
      reopenings = 0
      window?.clear()
    }
    if (from !== to) onChange?.({ from, to, nowMs, calls, failures })
  }

  function cooldownEnd(nowMs: number): number {
    return nowMs + (options as BreakerOptions).cooldownMs * Math.min(2 ** reopenings, MAX_COOLDOWN_FACTOR)
  }

  function record(outcome: Outcome, nowMs: number): void {
    if (state !== 'closed' || window === null) return
    window.count(outcome, nowMs)
    if (outcome === 'success') return
    const { minFailures, ratio } = options as BreakerOptions
    if (window.failures < minFailures || window.failures < ratio * window.calls) return
    probeAtMs = cooldownEnd(nowMs)
    enter('open', nowMs)
  }

  return {
    admit(nowMs) {
      if (state === 'closed') return 'yes'
      if (state !== 'open' || nowMs < probeAtMs) return 'no'
      enter('half-open', nowMs)
      return 'probe'
    },
    record,
    recordProbe(outcome, nowMs) {
      if (state !== 'half-open') {
        // Released while the probe was out: it is a call like any other.
        record(outcome, nowMs)
      } else if (outcome === 'success') {
        enter('closed', nowMs)
      } else {
        reopenings++
        probeAtMs = cooldownEnd(nowMs)
        enter('open', nowMs)
      }
    },
    forgoProbe(nowMs) {
      if (state !== 'half-open') return
      probeAtMs = nowMs
      enter('open', nowMs)
    },
    hold(nowMs) {
      enter('held', nowMs)
    },
    release(nowMs) {
      enter('closed', nowMs)
    },
    get state() {
      return state
    },
    get nextProbeMs() {
      return state === 'open' ? probeAtMs : null
    },
  }
}

interface OutcomeWindow {
  readonly calls: number
  readonly failures: number
  count(outcome: Outcome, nowMs: number): void
  clear(): void
}

/** Calls and failures of the current tenth of the window and the nine before it. */
function createWindow(windowMs: number): OutcomeWindow {
  const cellMs = windowMs / CELLS
  const calls = new Float64Array(CELLS)
  const failures = new Float64Array(CELLS)
  let cellNumber = -Infinity
  let cellEndsMs = -Infinity
  let index = 0
  let totalCalls = 0
  let totalFailures = 0

  function moveTo(nowMs: number): void {
    const target = Math.floor(nowMs / cellMs)
    const steps = Math.min(target - cellNumber, CELLS)
    for (let step = 0; step < steps; step++) {
      index = (index + 1) % CELLS
      totalCalls -= calls[index]!
      totalFailures -= failures[index]!
      calls[index] = 0
      failures[index] = 0
    }
    cellNumber = target
    cellEndsMs = (target + 1) * cellMs
  }

  return {
    count(outcome, nowMs) {
      if (nowMs >= cellEndsMs) moveTo(nowMs)
      calls[index]!++
      totalCalls++
      if (outcome === 'success') return
      failures[index]!++
      totalFailures++
    },
    clear() {
      calls.fill(0)
      failures.fill(0)
      totalCalls = 0
      totalFailures = 0
    },
    get calls() {
      return totalCalls
    },
    get failures() {
      return totalFailures
    },
  }
}
