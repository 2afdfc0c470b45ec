/**
 * A circuit breaker: decides when a plugin that fails too often is no longer called (quarantine), and when it is tried
 * again. One per plugin, on the host's thread. It has no clock and no timer; each `nowMs` comes from one monotonic clock.
 *
 *            minFailures in the window, and at least `ratio` of its calls
 *   closed ────────────────────────────────────────────────────────────────> open
 *     ^                                                                     │    ^
 *     │                       cooldown over: the next admit() is the probe  │    │  the probe fails:
 *     │   the probe succeeds                                                v    │  longer cooldown
 *     └───────────────────────────────────────────────────────────────── half-open
 *
 *   any state ── hold() ──> held            open, half-open, held ── release() ──> closed
 *
 * The cooldown doubles with each reopening in a row, up to MAX_COOLDOWN_FACTOR times its length: 1, 2, 4, 8, 12, 12, ...
 */

export type BreakerState = 'closed' | 'open' | 'half-open' | 'held'

/** `probe`: let this one call through, and report it with `recordProbe` or `forgoProbe`. */
export type Admission = 'yes' | 'no' | 'probe'

export type Outcome = 'success' | 'failure'

export interface BreakerOptions {
  /** How far back failures count, with a precision of a tenth. */
  windowMs: number
  /** Infinity: the breaker never opens by itself; hold() and release() still work. */
  minFailures: number
  /** The share of the window's calls that must have failed: above 0, at most 1. */
  ratio: number
  cooldownMs: number
  /** Called after each change of state. */
  onChange?(change: BreakerChange): void
}

export interface BreakerChange {
  from: BreakerState
  to: BreakerState
  nowMs: number
  /** Calls and failures in the window when the breaker was last closed. */
  calls: number
  failures: number
}

export const MAX_COOLDOWN_FACTOR = 12

const CELLS = 10

export class CircuitBreaker {
  readonly #options: BreakerOptions
  readonly #window: OutcomeWindow
  #state: BreakerState = 'closed'
  #reopenings = 0
  #probeAtMs = 0

  constructor(options: BreakerOptions) {
    this.#options = options
    this.#window = new OutcomeWindow(options.windowMs)
  }

  get state(): BreakerState {
    return this.#state
  }

  /** When the next call is let through as the probe; null unless open. */
  get nextProbeMs(): number | null {
    return this.#state === 'open' ? this.#probeAtMs : null
  }

  /** Whether a call may be made now. 'no' becomes the failure `quarantined`. */
  admit(nowMs: number): Admission {
    if (this.#state === 'closed') return 'yes'
    if (this.#state !== 'open' || nowMs < this.#probeAtMs) return 'no'
    this.#enter('half-open', nowMs)
    return 'probe'
  }

  /** The outcome of a call that was admitted with 'yes'. Ignored unless closed: that call was made before the quarantine. */
  record(outcome: Outcome, nowMs: number): void {
    if (this.#state !== 'closed') return
    this.#window.count(outcome, nowMs)
    if (outcome === 'failure') this.#judge(nowMs)
  }

  /** The outcome of the probe. Every probe must end here or in forgoProbe; the call's deadline ensures it. */
  recordProbe(outcome: Outcome, nowMs: number): void {
    if (this.#state !== 'half-open') {
      // Released while the probe was under way: the probe counts as any other call.
      this.record(outcome, nowMs)
    } else if (outcome === 'success') {
      this.#enter('closed', nowMs)
    } else {
      this.#reopenings += 1
      this.#probeAtMs = this.#cooldownEnd(nowMs)
      this.#enter('open', nowMs)
    }
  }

  /** The probe never reached the plugin (aborted, recalled, rejected earlier in the chain): the next call is the probe. */
  forgoProbe(nowMs: number): void {
    if (this.#state !== 'half-open') return
    this.#probeAtMs = nowMs
    this.#enter('open', nowMs)
  }

  /** The operator's quarantine: lasts until release(). */
  hold(nowMs: number): void {
    this.#enter('held', nowMs)
  }

  /** Ends any quarantine and forgets what led to it. */
  release(nowMs: number): void {
    this.#enter('closed', nowMs)
  }

  #judge(nowMs: number): void {
    const { minFailures, ratio } = this.#options
    const { calls, failures } = this.#window
    if (failures < minFailures || failures < ratio * calls) return
    this.#probeAtMs = this.#cooldownEnd(nowMs)
    this.#enter('open', nowMs)
  }

  /** Every change of state happens here. */
  #enter(to: BreakerState, nowMs: number): void {
    const from = this.#state
    const { calls, failures } = this.#window
    this.#state = to
    if (to === 'closed') {
      this.#reopenings = 0
      this.#window.clear()
    }
    if (from !== to) this.#options.onChange?.({ from, to, nowMs, calls, failures })
  }

  #cooldownEnd(nowMs: number): number {
    const { cooldownMs } = this.#options
    return nowMs + cooldownMs * Math.min(2 ** this.#reopenings, MAX_COOLDOWN_FACTOR)
  }
}

/** Calls and failures of the current tenth of the window and the nine before it. */
class OutcomeWindow {
  calls = 0
  failures = 0
  readonly #cellMs: number
  readonly #calls = new Float64Array(CELLS)
  readonly #failures = new Float64Array(CELLS)
  #cell = 0
  #cellNumber = -Infinity
  #cellEndsMs = -Infinity

  constructor(windowMs: number) {
    this.#cellMs = windowMs / CELLS
  }

  count(outcome: Outcome, nowMs: number): void {
    if (nowMs >= this.#cellEndsMs) this.#moveTo(nowMs)
    this.#calls[this.#cell]! += 1
    this.calls += 1
    if (outcome === 'success') return
    this.#failures[this.#cell]! += 1
    this.failures += 1
  }

  clear(): void {
    this.#calls.fill(0)
    this.#failures.fill(0)
    this.calls = 0
    this.failures = 0
  }

  #moveTo(nowMs: number): void {
    const target = Math.floor(nowMs / this.#cellMs)
    const steps = Math.min(target - this.#cellNumber, CELLS)
    for (let step = 0; step < steps; step++) {
      this.#cell = (this.#cell + 1) % CELLS
      this.calls -= this.#calls[this.#cell]!
      this.failures -= this.#failures[this.#cell]!
      this.#calls[this.#cell] = 0
      this.#failures[this.#cell] = 0
    }
    this.#cellNumber = target
    this.#cellEndsMs = (target + 1) * this.#cellMs
  }
}
