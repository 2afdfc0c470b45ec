/**
 * Every failure, at every kind of hookpoint, under every policy, with plugins that run in QuickJS. A hook that does not
 * come back is stopped at its deadline, so there is none that is late; and none can bring its lane down.
 */
import { describeConformance, SPOILED } from '../support/conformance.js'
import { fixture } from '../support/lab.js'

describeConformance({
  name: 'quickjs',
  plugin: (name) => ({ from: fixture('quickjs/actor.mjs'), name, runtime: 'quickjs' }),
  acts: {
    timeout: ['pends', 'loops'],
    late: [],
    crash: [],
    ...SPOILED,
  },
  crashReason: 'exit',
})
