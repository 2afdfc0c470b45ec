/** Every failure, at every kind of hookpoint, under every policy, with modules that run in a process of their own. */
import { describeConformance } from '../support/conformance.js'
import { actor } from '../support/lab.js'

describeConformance({
  name: 'module, in a process',
  plugin: (name) => actor(name, { boundary: 'process' }),
  acts: {
    // A hook that blocks is, seen from the lane, one that has not answered: it is let go of at its deadline.
    timeout: ['pends', 'blocks 200'],
    late: [],
    crash: ['exits 3'],
    error: ['throws spoiled', 'later throws spoiled'],
    invalid: {
      gate: ['returns a number', 'later returns an empty object'],
      transform: [
        'returns an array',
        'returns a replace with a wrong type',
        'returns a replace that the schema refuses',
      ],
      respond: ['returns an answer of a wrong type', 'later returns an answer that the schema refuses'],
    },
  },
  crashReason: 'exit',
})
