/** Every failure, at every kind of hookpoint, under every policy, with plugins that run as modules. */
import { describeConformance } from '../support/conformance.js'
import { actor } from '../support/lab.js'

describeConformance({
  name: 'module',
  plugin: (name) => actor(name),
  acts: {
    timeout: ['pends'],
    late: ['blocks 300'],
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
