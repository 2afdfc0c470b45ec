/** Scenarios of calls that are late, given up or moved, and of lanes that are stopped or replaced. See scenarios.ts. */
import { HANG_MS, PLUGIN_TIMEOUT_MS } from './limits.js'
import type { Outcome, Scenario } from './scenario.js'

/** Long enough for a call's deadline, not for a hang. */
const LATE_MS = PLUGIN_TIMEOUT_MS + 1
/** Long enough for the watchdog to see that a hook takes long. */
const SLOW_MS = PLUGIN_TIMEOUT_MS / 4 + 1
const HUNG_MS = PLUGIN_TIMEOUT_MS + HANG_MS + 2

const ABORTED: readonly Outcome[] = ['error:CALL_ABORTED']
const TIMED_OUT: readonly Outcome[] = ['failure:timeout']
const LOST: readonly Outcome[] = ['failure:timeout', 'failure:crash']

export const DEADLINE_SCENARIOS: readonly Scenario[] = [
  {
    name: 'stop-vs-done',
    about: 'a chain of two: the host takes the rest of a late hop elsewhere while the worker goes on to it',
    bound: 3,
    quickBound: 1,
    slots: 2,
    plugins: 2,
    onFailure: 'allow',
    async run(host) {
      host.ask('latch-0 pass', { may: TIMED_OUT })
      await host.quiet()
      host.open(0)
      host.advance(LATE_MS)
      await host.turn()
      await host.allBack()
    },
  },
  {
    name: 'stop-vs-chain',
    about: 'the worker goes on in its chain again and again while the host, out of patience, stops it',
    bound: 2,
    quickBound: 1,
    slots: 2,
    plugins: 3,
    onFailure: 'allow',
    isScaled: true,
    async run(host) {
      host.ask('latch-0 latch-1 pass', { may: TIMED_OUT })
      await host.quiet()
      host.open(0)
      host.advance(LATE_MS)
      await host.turn()
      host.open(1)
      await host.allBack()
    },
  },
  {
    name: 'expire-vs-claim',
    about: 'calls are late at the moment that the worker claims, runs or completes them',
    bound: 2,
    quickBound: 1,
    slots: 2,
    plugins: 1,
    async run(host) {
      host.ask('pass', { may: TIMED_OUT })
      host.ask('deny', { may: TIMED_OUT })
      await host.turn()
      host.advance(LATE_MS)
      await host.turn()
      host.ask('pass', { may: TIMED_OUT })
      await host.allBack()
    },
  },
  {
    name: 'promises',
    about: 'hooks that return promises: the lane parks with its event loop alive, and runs one at a time',
    bound: 2,
    quickBound: 1,
    slots: 2,
    plugins: 1,
    concurrency: 1,
    async run(host) {
      host.ask('later')
      await host.turn()
      host.ask('later')
      await host.allBack()
    },
  },
  {
    name: 'cancel-vs-park',
    about: 'the caller of a pending hook gives up while the lane goes to sleep: the hook must hear of it',
    bound: 3,
    quickBound: 2,
    slots: 2,
    plugins: 1,
    concurrency: 2,
    async run(host) {
      const call = host.ask('until-aborted', { may: ABORTED })
      await host.turn()
      call.abort()
      await host.allBack()
    },
  },
  {
    name: 'let-go-vs-settle',
    about: 'a pending hook settles as the lane lets go of it at its deadline: its slot comes back once',
    bound: 3,
    quickBound: 1,
    slots: 1,
    plugins: 1,
    async run(host) {
      host.ask('later-latch-0', { may: TIMED_OUT })
      await host.quiet()
      host.open(0)
      host.advance(LATE_MS)
      await host.turn()
      host.ask('later', { may: TIMED_OUT })
      await host.allBack()
      await host.quiet()
    },
  },
  {
    name: 'control-vs-park',
    about: 'control messages are announced while the lane goes to sleep, with a call under way',
    bound: 2,
    quickBound: 1,
    slots: 2,
    plugins: 1,
    async run(host) {
      host.ask('pass')
      await host.turn()
      await host.shutdown()
      await host.allBack()
      await host.stop()
    },
  },
  {
    name: 'replace-vs-complete',
    about: 'a lane hangs and is replaced at the moment that its hook returns: its old generation goes on writing',
    bound: 2,
    quickBound: 1,
    slots: 2,
    plugins: 1,
    async run(host) {
      host.ask('latch-0', { may: LOST })
      await host.turn()
      host.tell('pass')
      host.ask('pass', { may: LOST })
      await host.quiet()
      host.open(0)
      host.advance(HUNG_MS)
      await host.turn()
      await host.allBack()
      await host.quiet()
    },
  },
  {
    name: 'move-vs-claim',
    about: 'two lanes: one is late, and calls that it has not claimed move to the other',
    bound: 1,
    quickBound: 0,
    slots: 2,
    plugins: 1,
    seats: 2,
    async run(host) {
      host.ask('latch-0')
      host.ask('pass')
      host.ask('pass')
      host.ask('deny')
      await host.quiet()
      host.open(0)
      host.advance(SLOW_MS)
      await host.turn()
      await host.allBack()
    },
  },
  {
    name: 'stale-completion',
    about: 'a worker gives back a slot with the state of its use before: not taken, and the lane is replaced',
    bound: 3,
    quickBound: 2,
    slots: 1,
    plugins: 1,
    isRogue: true,
    worker({ ring, words, stateAt, noteRun }) {
      while (!ring.hasSubmissions()) ring.park()
      const slot = ring.claim()
      const claimed = words[stateAt(slot)] as number
      noteRun(0)
      ring.setContinue(slot)
      ring.complete(slot)
      while (!ring.hasSubmissions()) ring.park()
      words[stateAt(slot)] = claimed
      ring.complete(slot)
    },
    async run(host) {
      await host.ask('pass').settled
      host.ask('pass', { may: LOST })
      await host.allBack()
    },
  },
]
