/** Options as an operator could have meant them, with some of anything in between. */
import fc from 'fast-check'
import { delivery } from 'hookring/contracts'
import { listOf, objectOf, thing } from './things.js'

export const silent = { debug() {}, info() {}, warn() {}, error() {} }

export const numbers = fc.oneof(fc.nat(2_000), fc.double(), fc.constantFrom(-1, 0, 0.5))
export const words = fc.oneof(
  fc.string({ maxLength: 20 }),
  fc.constantFrom('a', 'text', '__proto__', 'constructor', ''),
)
export const flags = fc.boolean()

export const limits = objectOf({ memoryMb: numbers, concurrency: numbers, queue: numbers, slots: numbers })
const policies = fc.oneof(
  fc.constantFrom('deny', 'allow', 'raise'),
  objectOf({ timeout: fc.constantFrom('deny', 'allow'), crash: words }),
)
const conditions = objectOf({
  eq: words,
  not: numbers,
  in: fc.array(words),
  gt: numbers,
  lte: fc.bigInt(),
  prefix: words,
  mqtt: words,
})
export const matches = objectOf({
  text: fc.oneof(words, conditions),
  id: fc.oneof(numbers, conditions),
  'inner.count': conditions,
  list: words,
  exact: fc.oneof(fc.bigInt(), conditions),
})

/** Nothing that exists: no plugin is loaded. */
const sources = fc.oneof(
  fc.constantFrom(
    './nowhere.mjs',
    '/nowhere/at/all.mjs',
    'nobody-has-this',
    'http://x/y.mjs',
    'data:text/javascript,1',
    '/',
  ),
  words,
)
export const pluginSpecs = objectOf(
  {
    from: sources,
    name: words,
    config: fc.anything(),
    trust: fc.constantFrom('trusted', 'untrusted'),
    runtime: fc.constantFrom('module', 'quickjs'),
    bulkhead: words,
    priority: fc.integer({ min: -10, max: 10 }),
    timeoutMs: numbers,
    onFailure: policies,
    mode: fc.constantFrom('enforce', 'shadow'),
    sample: fc.double({ min: 0, max: 1 }),
    match: matches,
    workers: fc.nat(4),
    partitionBy: words,
    limits: limits,
    integrity: words,
  },
  ['from'],
)
export const engineOptions = objectOf(
  {
    contract: fc.constant(thing('delivery', delivery)),
    plugins: listOf(pluginSpecs, 2),
    timeoutMs: numbers,
    onFailure: policies,
    hangMs: numbers,
    terminateGraceMs: numbers,
    setupTimeoutMs: numbers,
    closeTimeoutMs: numbers,
    maxEventBytes: fc.nat(100_000),
    maxServiceBytes: fc.nat(100_000),
    workers: fc.nat(4),
    spares: fc.constant(0),
    wait: fc.constantFrom('park', 'spin', 'adaptive'),
    spinUs: numbers,
    quarantine: fc.oneof(
      fc.constant(false),
      objectOf({ windowMs: numbers, minFailures: numbers, ratio: numbers, cooldownMs: numbers }),
    ),
    limits: limits,
    logger: fc.constant(thing('a logger', silent)),
    metricsPrefix: fc.constantFrom('x_', 'hookring_', '9'),
  },
  ['contract'],
)
