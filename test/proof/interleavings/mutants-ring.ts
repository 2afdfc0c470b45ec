/** Mistakes in the ring (src/ring), see mutants.ts. */
import type { Mutant } from './patched-copy.js'

const HOST_RING = 'ring/host-ring.js'
const WORKER_RING = 'ring/worker-ring.js'
const EXTENTS = 'ring/extents.js'

export const RING_MUTANTS: readonly Mutant[] = [
  {
    name: 'publish-before-write',
    mistake: 'the queue’s tail is stored before the slot is filled',
    first: ['publish-vs-park', 'doorbell-storm'],
    patches: [
      {
        file: HOST_RING,
        find: 'words[at + HOOKPOINT_WORD] = submission.hookpoint;',
        replace:
          'Atomics.store(words, SUBMIT_TAIL_WORD, (this.#submitTail + 1) | 0);\n        words[at + HOOKPOINT_WORD] = submission.hookpoint;',
      },
    ],
  },
  {
    name: 'worker-parks-unlooked',
    mistake: 'the worker does not look again after saying that it sleeps',
    first: ['publish-vs-park'],
    patches: [
      { file: WORKER_RING, find: 'if (!this.#hasReason(forCalls))\n            return true;', replace: 'return true;' },
    ],
  },
  {
    name: 'host-parks-unlooked',
    mistake: 'the host does not look again after saying that it sleeps',
    first: ['publish-vs-park'],
    patches: [
      {
        file: HOST_RING,
        find: 'if (Atomics.load(words, COMPLETE_TAIL_WORD) !== this.#completeHead) {',
        replace: 'if (false) {',
      },
    ],
  },
  {
    name: 'doorbell-before-tail',
    mistake: 'the host rings before it stores the tail',
    first: ['publish-vs-park'],
    patches: [
      {
        file: HOST_RING,
        find: 'this.publishQuietly();\n        return this.#wakeWorker();',
        replace: 'const hasRung = this.#wakeWorker();\n        this.publishQuietly();\n        return hasRung;',
      },
    ],
  },
  {
    name: 'answer-bell-before-tail',
    mistake: 'the worker looks whether the host sleeps before it stores the tail',
    first: ['publish-vs-park'],
    patches: [
      {
        file: WORKER_RING,
        find: 'Atomics.store(words, COMPLETE_TAIL_WORD, this.#completeTail);\n        if (Atomics.load(words, HOST_PARK_WORD) !== PARKED)',
        replace:
          'const isParked = Atomics.load(words, HOST_PARK_WORD) === PARKED;\n        Atomics.store(words, COMPLETE_TAIL_WORD, this.#completeTail);\n        if (!isParked)',
      },
    ],
  },
  {
    name: 'doorbell-is-dumb',
    mistake: 'the host says that the worker is awake and notifies nobody',
    first: ['publish-vs-park'],
    patches: [
      {
        file: HOST_RING,
        find: 'Atomics.notify(words, WORKER_PARK_WORD);\n        return true;',
        replace: 'return true;',
      },
    ],
  },
  {
    name: 'claim-without-exchange',
    mistake: 'the worker claims by a load and a store',
    first: ['claim-vs-recall', 'expire-vs-claim'],
    patches: [
      {
        file: WORKER_RING,
        find: 'if (Atomics.compareExchange(words, at, state, claimed) === state)\n                    return slot;',
        replace: 'Atomics.store(words, at, claimed);\n                return slot;',
      },
    ],
  },
  {
    name: 'recall-without-exchange',
    mistake: 'the host recalls by a load and a store',
    first: ['claim-vs-recall', 'expire-vs-claim'],
    patches: [
      {
        file: HOST_RING,
        find: 'return Atomics.compareExchange(this.#words, at, submitted, recalled) === submitted;',
        replace:
          'if (Atomics.load(this.#words, at) !== submitted)\n            return false;\n        Atomics.store(this.#words, at, recalled);\n        return true;',
      },
    ],
  },
  {
    name: 'recalled-not-given-back',
    mistake: 'the worker passes over a recalled slot without giving it back',
    first: ['claim-vs-recall'],
    patches: [
      {
        file: WORKER_RING,
        find: 'this.setOutcome(slot, OUTCOME_SKIPPED, 0);\n            this.complete(slot);',
        replace: '',
      },
    ],
  },
  {
    name: 'tail-before-state',
    mistake: 'the worker stores the completion queue’s tail before the slot’s state',
    first: ['publish-vs-park', 'doorbell-storm'],
    patches: [
      {
        file: WORKER_RING,
        find: 'words[at] = (words[at] & ~STATE_MASK) | COMPLETED;\n',
        replace: '',
      },
      {
        file: WORKER_RING,
        find: 'Atomics.store(words, COMPLETE_TAIL_WORD, this.#completeTail);\n',
        replace:
          'Atomics.store(words, COMPLETE_TAIL_WORD, this.#completeTail);\n        words[at] = (words[at] & ~STATE_MASK) | COMPLETED;\n',
      },
    ],
  },
  {
    name: 'tail-before-entry',
    mistake: 'the worker stores the completion queue’s tail before the entry',
    first: ['doorbell-storm', 'one-slot'],
    patches: [
      {
        file: WORKER_RING,
        find: '            words[this.#completeRing + (this.#completeTail & this.#queueMask)] = slot;\n            if',
        replace: '            if',
      },
      {
        file: WORKER_RING,
        find: 'words[this.#completeRing + (this.#completeTail & this.#queueMask)] = slot;\n        this.#completeTail = (this.#completeTail + 1) | 0;\n',
        replace: 'this.#completeTail = (this.#completeTail + 1) | 0;\n',
      },
      {
        file: WORKER_RING,
        find: 'Atomics.store(words, COMPLETE_TAIL_WORD, this.#completeTail);\n',
        replace:
          'Atomics.store(words, COMPLETE_TAIL_WORD, this.#completeTail);\n        words[this.#completeRing + ((this.#completeTail - 1) & this.#queueMask)] = slot;\n',
      },
    ],
  },
  {
    name: 'use-ignored',
    mistake: 'the host compares a slot’s state without the count of its uses',
    first: ['stale-completion'],
    patches: [
      {
        file: HOST_RING,
        find: 'if (this.#words[at] !== (use | COMPLETED))',
        replace: 'if ((this.#words[at] & STATE_MASK) !== COMPLETED)',
      },
    ],
  },
  {
    name: 'completion-taken-again',
    mistake: 'the host does not go on in the completion queue',
    first: ['publish-vs-park'],
    patches: [
      {
        file: HOST_RING,
        find: 'this.#completeHead = (this.#completeHead + 1) | 0;\n        return slot;',
        replace: 'return slot;',
      },
    ],
  },
  {
    name: 'wrap-in-drain',
    mistake: 'the host compares sequences without wrapping',
    first: ['sequences-2^31', 'sequences-2^32'],
    patches: [
      {
        file: HOST_RING,
        find: 'const waiting = (tail - this.#completeHead) | 0;',
        replace: 'const waiting = tail - this.#completeHead;',
      },
    ],
  },
  {
    name: 'wrap-in-claim',
    mistake: 'the worker takes a tail that has wrapped for one behind it',
    first: ['sequences-2^31', 'sequences-2^32'],
    patches: [
      {
        file: WORKER_RING,
        find: 'return this.#submitSeen !== this.#submitHead;',
        replace: 'return this.#submitSeen > this.#submitHead;',
      },
    ],
  },
  {
    name: 'host-parks-on-what-it-saw',
    mistake: 'before it sleeps the host compares with the completions that it has seen, not with those that there are',
    first: ['publish-vs-park', 'doorbell-storm'],
    patches: [
      {
        file: HOST_RING,
        find: 'if (Atomics.load(words, COMPLETE_TAIL_WORD) !== this.#completeHead) {',
        replace: 'if (this.#completeSeen !== this.#completeHead) {',
      },
    ],
  },
  {
    name: 'worker-parks-on-what-it-saw',
    mistake:
      'before it sleeps the worker compares with the submissions that it has seen, not with those that there are',
    first: ['publish-vs-park'],
    patches: [
      {
        file: WORKER_RING,
        find: '(forCalls && Atomics.load(words, SUBMIT_TAIL_WORD) !== this.#submitHead) ||',
        replace: '(forCalls && this.#submitSeen !== this.#submitHead) ||',
      },
    ],
  },
  {
    name: 'control-unlooked',
    mistake: 'a worker that goes to sleep does not look for control messages',
    first: ['control-vs-park'],
    patches: [
      {
        file: WORKER_RING,
        find: 'Atomics.load(words, CONTROL_SEQUENCE_WORD) !== this.#controlSeen ||',
        replace: '',
      },
    ],
  },
  {
    name: 'cancel-unlooked',
    mistake: 'a worker that goes to sleep does not look for calls that were given up',
    first: ['cancel-vs-park'],
    patches: [
      {
        file: WORKER_RING,
        find: '||\n            Atomics.load(words, CANCEL_SEQUENCE_WORD) !== this.#cancelSeen);',
        replace: ');',
      },
    ],
  },
  {
    name: 'cancel-before-flag',
    mistake: 'the host counts a cancellation before it marks the call',
    first: ['cancel-vs-park'],
    patches: [
      {
        file: HOST_RING,
        find: 'Atomics.store(this.#words, this.#slots + slot * SLOT_WORDS + CANCELLED_WORD, 1);\n        this.stop(slot);\n        Atomics.add(this.#words, CANCEL_SEQUENCE_WORD, 1);\n        this.#wakeWorker();',
        replace:
          'Atomics.add(this.#words, CANCEL_SEQUENCE_WORD, 1);\n        this.#wakeWorker();\n        Atomics.store(this.#words, this.#slots + slot * SLOT_WORDS + CANCELLED_WORD, 1);\n        this.stop(slot);',
      },
    ],
  },
  {
    name: 'done-without-exchange',
    mistake: 'the worker adds to the done mask by a store',
    first: ['stop-vs-done'],
    patches: [
      {
        file: WORKER_RING,
        find: 'return (Atomics.compareExchange(this.#words, this.#slots + slot * SLOT_WORDS + DONE_MASK_WORD, before, after) === before);',
        replace:
          'const at = this.#slots + slot * SLOT_WORDS + DONE_MASK_WORD;\n        if (Atomics.load(this.#words, at) !== before)\n            return false;\n        Atomics.store(this.#words, at, after);\n        return true;',
      },
    ],
  },
  {
    name: 'extents-not-split',
    mistake: 'the second half of a block that was split is not its own',
    first: ['slices', 'arena-full'],
    patches: [{ file: EXTENTS, find: '.push(whole + classBytes(half));', replace: '.push(whole);' }],
  },
]
