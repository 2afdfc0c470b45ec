/** Every failure, at every kind of hookpoint, under every policy, with modules that run in a process of their own. */
import { describeConformance, SPOILED } from '../support/conformance.js'
import { actor } from '../support/lab.js'

describeConformance({
  name: 'module, in a process',
  plugin: (name) => actor(name, { boundary: 'process' }),
  acts: {
    // A hook that blocks is, seen from the lane, one that has not answered: it is let go of at its deadline.
    timeout: ['pends', 'blocks 200'],
    late: [],
    crash: ['exits 3'],
    ...SPOILED,
  },
  crashReason: 'exit',
})
