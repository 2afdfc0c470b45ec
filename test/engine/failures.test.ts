/** Every failure, at every kind of hookpoint, under every policy, with plugins that run as modules. */
import { describeConformance, SPOILED } from '../support/conformance.js'
import { actor } from '../support/lab.js'

describeConformance({
  name: 'module',
  plugin: (name) => actor(name),
  acts: {
    timeout: ['pends'],
    late: ['blocks 300'],
    crash: ['exits 3'],
    ...SPOILED,
  },
  crashReason: 'exit',
})
