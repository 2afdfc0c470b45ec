/** Scenarios of calls that come and go, see scenarios.ts. */
import type { Outcome, Scenario } from './scenario.js'

const ABORTED: readonly Outcome[] = ['error:CALL_ABORTED']

export const TRAFFIC_SCENARIOS: readonly Scenario[] = [
  {
    name: 'publish-vs-park',
    about: 'the worker goes to sleep while the host publishes, and the other way round',
    bound: 3,
    quickBound: 2,
    slots: 2,
    plugins: 1,
    async run(host) {
      await host.ask('pass').settled
      await host.ask('deny').settled
      await host.allBack()
    },
  },
  {
    name: 'doorbell-storm',
    about: 'calls in turns of their own: each publishes, and each may ring a worker that wakes up or falls asleep',
    bound: 2,
    quickBound: 1,
    slots: 4,
    plugins: 1,
    async run(host) {
      host.ask('pass')
      await host.turn()
      host.ask('deny')
      await host.turn()
      host.ask('pass')
      await host.allBack()
    },
  },
  {
    name: 'look-again',
    about: 'both sides look for work for a while before they sleep',
    bound: 1,
    quickBound: 1,
    slots: 2,
    plugins: 1,
    wait: 'spin',
    spinUs: 2,
    async run(host) {
      host.ask('pass')
      await host.turn()
      host.ask('pass')
      await host.allBack()
    },
  },
  {
    name: 'burst',
    about: 'a burst that is published in parts: the first call at once, the next part may ring, the last must',
    bound: 3,
    quickBound: 2,
    slots: 4,
    plugins: 1,
    isScaled: true,
    async run(host) {
      host.ask('pass')
      host.ask('deny')
      host.ask('pass')
      await host.allBack()
    },
  },
  {
    name: 'slices',
    about: 'more calls than a batch runs, a slice drains and the arena holds',
    bound: 2,
    quickBound: 1,
    slots: 4,
    plugins: 1,
    isScaled: true,
    hasSmallArena: true,
    async run(host) {
      host.ask('pass')
      host.ask('deny')
      host.ask('pass')
      host.ask('deny')
      host.ask('pass')
      await host.allBack()
    },
  },
  {
    name: 'claim-vs-recall',
    about: 'callers give up calls that the worker is about to claim; their slots and extents serve the next calls',
    bound: 2,
    quickBound: 1,
    slots: 2,
    plugins: 1,
    async run(host) {
      const first = host.ask('pass', { may: ABORTED })
      const second = host.ask('deny', { may: ABORTED })
      await host.turn()
      second.abort()
      first.abort()
      host.ask('pass')
      await host.turn()
      host.ask('deny')
      await host.allBack()
    },
  },
  {
    name: 'one-slot',
    about: 'one slot serves call after call, each in another use of it',
    bound: 2,
    quickBound: 1,
    slots: 1,
    plugins: 1,
    async run(host) {
      host.ask('pass')
      host.ask('deny')
      host.ask('pass')
      await host.allBack()
    },
  },
  {
    name: 'queue-full',
    about: 'no slot, then no room in the queue: one call runs, one waits, one is refused at once',
    bound: 2,
    quickBound: 1,
    slots: 1,
    plugins: 1,
    maxQueue: 1,
    async run(host) {
      host.ask('pass')
      host.ask('pass')
      await host.ask('pass', { may: ['failure:overload'] }).settled
      host.ask('deny', { may: ['failure:overload'] })
      await host.allBack()
    },
  },
  {
    name: 'arena-full',
    about: 'slots are free and extents are not: calls wait for bytes, and get those of a call that has come back',
    bound: 2,
    quickBound: 1,
    slots: 4,
    plugins: 1,
    isScaled: true,
    hasSmallArena: true,
    async run(host) {
      host.ask('deny')
      host.ask('pass', { may: ABORTED }).abort()
      await host.turn()
      host.ask('deny')
      host.ask('pass')
      await host.allBack()
    },
  },
  ...[2 ** 31 - 2, 2 ** 32 - 2, 2 ** 29 - 2].map(
    (firstSequence): Scenario => ({
      name: `sequences-${{ 31: '2^31', 32: '2^32', 29: '2^29' }[Math.round(Math.log2(firstSequence))]}`,
      about: `sequences, or the slots' uses, run over their end: they start at ${firstSequence}`,
      bound: 2,
      quickBound: 1,
      slots: 2,
      plugins: 1,
      isScaled: true,
      hasSmallArena: true,
      firstSequence,
      async run(host) {
        host.ask('pass')
        host.ask('deny')
        host.ask('pass')
        await host.turn()
        host.ask('deny')
        await host.allBack()
      },
    }),
  ),
]
