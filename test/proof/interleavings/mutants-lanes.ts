/** Mistakes in the lanes' code on both sides (src/host, src/worker), see mutants.ts. */
import type { Mutant } from './patched-copy.js'

const HOST_LANE = 'host/model/lane.js'
const LANE_BYTES = 'host/model/lane-bytes.js'
const PUMP = 'host/calls/pump.js'
const THREAD_EXITS = 'host/lanes/thread-exits.js'
const EXPIRY = 'host/calls/expiry.js'
const CALL = 'host/model/call.js'
const CHAIN = 'worker/calls/chain.js'
const INVOKE = 'worker/calls/invoke.js'
const WORKER_LANE = 'worker/lane-loop.js'

export const LANE_MUTANTS: readonly Mutant[] = [
  {
    name: 'payload-after-submit',
    mistake: 'the event’s bytes are copied after the slot is published',
    first: ['publish-vs-park', 'doorbell-storm'],
    patches: [
      {
        file: HOST_LANE,
        find: 'this.bytes.copyGathered();\n        return this.ring.publish();',
        replace: 'const hasRung = this.ring.publish();\n        this.bytes.copyGathered();\n        return hasRung;',
      },
      {
        file: HOST_LANE,
        find: 'this.bytes.copyGathered();\n        this.ring.publishQuietly();',
        replace: 'this.ring.publishQuietly();\n        this.bytes.copyGathered();',
      },
    ],
  },
  {
    name: 'outcome-after-complete',
    mistake: 'the worker writes what a call came to after it has given the slot back',
    first: ['publish-vs-park', 'doorbell-storm'],
    patches: [
      {
        file: CHAIN,
        find: '        ring.setContinue(slot);\n        ring.complete(slot);',
        replace: '        ring.complete(slot);\n        ring.setContinue(slot);',
      },
    ],
  },
  {
    name: 'stop-ignored',
    mistake: 'the worker goes on with a chain that the host has stopped',
    first: ['stop-vs-done'],
    patches: [
      {
        file: CHAIN,
        find: 'if (hasMore(mask, done) && !ring.goOn(slot, before, done)) {',
        replace: 'if (hasMore(mask, done) && !ring.goOn(slot, before, done) && false) {',
      },
    ],
  },
  {
    name: 'stop-without-exchange',
    mistake: 'the host stops a chain without looking how far it has come',
    first: ['stop-vs-done'],
    patches: [
      {
        file: EXPIRY,
        find: 'if (!lane.ring.stopAfter(slot, doneMask)) {',
        replace: 'lane.ring.stop(slot);\n        if (false) {',
      },
    ],
  },
  {
    name: 'stop-seen-before',
    mistake: 'the host goes by what it saw of a chain before it stopped it',
    first: ['stop-vs-chain'],
    patches: [
      {
        file: EXPIRY,
        find: 'progress = progressOf(lane, call, nowMs, lane.ring.stop(slot));',
        replace: 'lane.ring.stop(slot);',
      },
    ],
  },
  {
    name: 'own-extents-overlap',
    mistake: 'two slots have the same extent for their own',
    first: ['publish-vs-park', 'doorbell-storm'],
    patches: [{ file: LANE_BYTES, find: '+ slot * OWN_EXTENT_BYTES', replace: '+ (slot >> 1) * OWN_EXTENT_BYTES' }],
  },
  {
    name: 'extent-freed-at-recall',
    mistake: 'a recalled call’s extent is free before its slot has come back',
    first: ['arena-full', 'claim-vs-recall'],
    patches: [
      {
        file: HOST_LANE,
        find: 'this.detach(call, 0);\n        return true;',
        replace: 'this.detach(call, 0);\n        this.bytes.give(call.slot);\n        return true;',
      },
    ],
  },
  {
    name: 'slot-freed-at-deadline',
    mistake: 'the slot of a call that is late is free while its hook still runs',
    first: ['expire-vs-claim', 'stop-vs-done'],
    patches: [
      {
        file: HOST_LANE,
        find: 'this.#calls[call.slot] = new OrphanedSlot(call.hookpoint, mask, plugin);',
        replace:
          'this.#calls[call.slot] = new OrphanedSlot(call.hookpoint, mask, plugin);\n        this.#free.give(call.slot);',
      },
    ],
  },
  {
    name: 'moved-and-kept',
    mistake: 'calls of a late lane move to another one whether they could be recalled or not',
    first: ['move-vs-claim', 'replace-vs-complete'],
    patches: [
      {
        file: EXPIRY,
        find: 'if (call.isSettled || !lane.recall(call))',
        replace: 'if (call.isSettled || (!lane.recall(call) && false))',
      },
    ],
  },
  {
    name: 'old-lane-heard',
    mistake: 'a lane that was given up is still drained',
    first: ['replace-vs-complete'],
    patches: [
      {
        file: HOST_LANE,
        find: "while (taken < budget && this.state !== 'dead') {",
        replace: 'while (taken < budget) {',
      },
      {
        file: PUMP,
        find: "if (lane.listening !== 'parked' || lane.state === 'dead')",
        replace: "if (lane.listening !== 'parked')",
      },
      { file: PUMP, find: 'lane.ring.unpark();', replace: '' },
    ],
  },
  {
    name: 'memory-handed-down-early',
    mistake: 'the memory of a lane that was given up serves the next one before its thread is gone',
    first: ['replace-vs-complete'],
    patches: [{ file: THREAD_EXITS, find: 'if (isGone) {', replace: 'if (isGone || true) {' }],
  },
  {
    name: 'late-call-kept',
    mistake: 'a call that has settled at its deadline stays in its slot, and settles again when the slot comes back',
    first: ['expire-vs-claim'],
    patches: [
      { file: EXPIRY, find: 'lane.detach(call, 1 << current.index);', replace: '' },
      {
        file: CALL,
        find: 'export function settle(call, verdict, cancelDeadline) {\n    if (call.isSettled)\n        return;',
        replace: 'export function settle(call, verdict, cancelDeadline) {',
      },
    ],
  },
  {
    name: 'let-go-settles',
    mistake: 'a hop that the lane has let go of is given back again when its promise settles',
    first: ['let-go-vs-settle'],
    patches: [{ file: INVOKE, find: 'if (pending.isDetached) {', replace: 'if (!pending) {' }],
  },
  {
    name: 'listens-once',
    mistake: 'the host does not listen on after a doorbell that brought something',
    first: ['doorbell-storm'],
    patches: [
      {
        file: PUMP,
        find: "lane.listening = 'no';\n        this.#looksInPlace = IN_PLACE_LOOKS;",
        replace: 'this.#looksInPlace = IN_PLACE_LOOKS;',
      },
    ],
  },
  {
    name: 'burst-ends-quietly',
    mistake: 'the last part of a burst does not ring',
    first: ['burst'],
    patches: [
      {
        file: PUMP,
        find: 'lane.unpublished = 0;\n    lane.hasRung = false;\n    lane.isWaking = lane.publish();',
        replace:
          'lane.unpublished = 0;\n        if (lane.hasRung)\n            lane.publishQuietly();\n        else\n            lane.publish();\n        lane.hasRung = false;',
      },
    ],
  },
  {
    name: 'control-seen-early',
    mistake: 'a lane takes a control message that was announced just now for one that never comes',
    first: ['control-vs-park'],
    patches: [
      {
        file: WORKER_LANE,
        find: 'if (ring.controlPending() <= 0)\n                return;',
        replace: 'if (ring.controlPending() <= 0)\n                break;',
      },
    ],
  },
  {
    name: 'stop-unheard',
    mistake: 'a lane that was told to stop while it ran a batch goes to sleep',
    first: ['control-vs-park'],
    patches: [
      {
        file: WORKER_LANE,
        find: 'if (ring.controlPending() > 0) {\n                await this.#awaitControl();\n                continue;\n            }',
        replace: '',
      },
    ],
  },
]
