/**
 * Values that nobody would pass on purpose: getters that throw, proxies, values that contain themselves, texts without end.
 * Each goes with its description, since many cannot be printed.
 */
import fc from 'fast-check'

export class Thing {
  readonly text: string
  readonly value: unknown

  constructor(text: string, value: unknown) {
    this.text = text
    this.value = value
  }
}

export const thing = (text: string, value: unknown): Thing => new Thing(text, value)

const asThing = (value: unknown): Thing => (value instanceof Thing ? value : thing(fc.stringify(value), value))

function circular(): unknown {
  const self: Record<string, unknown> = { a: 1 }
  self.self = self
  self.list = [self]
  return self
}

function revoked(target: object): unknown {
  const { proxy, revoke } = Proxy.revocable(target, {})
  revoke()
  return proxy
}

const thrower = () => {
  throw new RangeError('a trap that throws')
}
const TRAPS: ProxyHandler<never> = Object.fromEntries(
  ['get', 'has', 'ownKeys', 'getOwnPropertyDescriptor', 'getPrototypeOf', 'apply', 'set', 'construct'].map((trap) => [
    trap,
    thrower,
  ]),
)

/** Made anew each time: some change when they are looked at. */
const ODD: readonly (readonly [text: string, make: () => unknown])[] = [
  ['undefined', () => undefined],
  ['null', () => null],
  ['NaN', () => Number.NaN],
  ['Infinity', () => Number.POSITIVE_INFINITY],
  ['-0', () => -0],
  ['2^53', () => 2 ** 53],
  ['a symbol', () => Symbol('odd')],
  ['Symbol.iterator', () => Symbol.iterator],
  ['a bigint', () => 10n ** 30n],
  ['a function', () => () => 1],
  ['a function that throws', () => thrower],
  ['a class', () => class Odd {}],
  ['an object without a prototype', () => Object.create(null)],
  ['an object whose prototype throws', () => Object.create(new Proxy({}, TRAPS))],
  ['an object with a symbol', () => ({ [Symbol('key')]: 1, a: 2 })],
  [
    'an object with a getter that throws',
    () =>
      Object.defineProperties({}, Object.fromEntries(KNOWN_KEYS.map((k) => [k, { get: thrower, enumerable: true }]))),
  ],
  ['an object that cannot be text', () => ({ toString: 5, valueOf: 5 })],
  ['an object that throws as text', () => ({ toString: thrower, toJSON: thrower, [Symbol.toPrimitive]: thrower })],
  ['an object that contains itself', circular],
  ['an array that contains itself', () => [circular()]],
  ['a proxy that throws', () => new Proxy({}, TRAPS)],
  ['a proxy of a function that throws', () => new Proxy(() => {}, TRAPS)],
  ['a proxy of an array', () => new Proxy([1, 2], {})],
  ['a revoked proxy', () => revoked({})],
  ['a revoked proxy of an array', () => revoked([])],
  ['a revoked proxy of a function', () => revoked(() => {})],
  ['a thenable', () => ({ [THEN]: (resolve: (value: unknown) => void) => resolve(1) })],
  ['a promise', () => Promise.resolve(1)],
  ['an array with holes', () => Object.assign(new Array(4), { 1: 1, 3: 2 })],
  ['a list of a great length', () => ({ length: 2 ** 53 - 1 })],
  ['an array with more', () => Object.assign([1], { a: 1 })],
  ['a text of 100000 characters', () => 'x'.repeat(100_000)],
  ['a text of half a pair', () => '\ud800'],
  ['a text with a zero', () => 'a\0b'],
  ['__proto__', () => '__proto__'],
  ['an own __proto__', () => JSON.parse('{"__proto__": {"a": 1}}')],
  ['a date that is none', () => new Date(Number.NaN)],
  ['a regular expression', () => /a+/g],
  ['an error', () => new TypeError('odd')],
  ['a map', () => new Map([[{}, 1]])],
  ['a set', () => new Set([1])],
  ['a weak map', () => new WeakMap()],
  ['a buffer', () => Buffer.from('abc')],
  ['a shared buffer', () => new SharedArrayBuffer(8)],
  ['a detached array', () => detached()],
  ['a view of another kind', () => new Float32Array(2)],
  ['a url', () => new URL('file:///nowhere/at/all.mjs')],
  ['the global object', () => globalThis],
  ['deeply nested', () => nested(5_000)],
  ['a generator', () => (function* () {})()],
  ['a boxed text', () => Object('boxed')],
  ['a boxed number', () => Object(5)],
  [
    'arguments',
    () =>
      (function () {
        // biome-ignore lint/complexity/noArguments: that is what is wanted here
        return arguments
      })(),
  ],
]
const THEN = 'then'

const KNOWN_KEYS = [
  'contract',
  'plugins',
  'from',
  'name',
  'kind',
  'event',
  'plan',
  'id',
  'hookpoints',
  'a',
  'signal',
  'timeoutMs',
  'traceId',
  'max',
  'windowMs',
  'timeout',
  'eq',
  'length',
  'then',
  'debug',
  'registerMetric',
  'aborted',
  'addEventListener',
  '_zod',
  'config',
  'setup',
]

function nested(depth: number): unknown {
  let value: unknown = {}
  for (let level = 0; level < depth; level += 1) value = level % 2 === 0 ? [value] : { a: value }
  return value
}

function detached(): Uint8Array {
  const bytes = new Uint8Array(8)
  structuredClone(bytes.buffer, { transfer: [bytes.buffer] })
  return bytes
}

const odd: fc.Arbitrary<Thing> = fc.constantFrom(...ODD).map(([text, make]) => thing(text, make()))

const plain: fc.Arbitrary<Thing> = fc
  .anything({
    withBigInt: true,
    withDate: true,
    withMap: true,
    withNullPrototype: true,
    withObjectString: true,
    withSet: true,
    withSparseArray: true,
    withTypedArray: true,
    maxDepth: 3,
  })
  .map((value) => thing(fc.stringify(value), value))

/** Anything at all. */
export const anyThing: fc.Arbitrary<Thing> = fc.oneof({ weight: 3, arbitrary: odd }, { weight: 2, arbitrary: plain })

/** What can cross to another thread. */
export const cloneable: fc.Arbitrary<Thing> = anyThing.filter(({ value }) => {
  try {
    structuredClone(value)
    return true
  } catch {
    return false
  }
})

/**
 * An object in which some of the known keys stand, with what `likely` makes or with anything; and now and then another key.
 * What is likely may be things, or values that can be printed.
 */
export function objectOf(
  likely: Readonly<Record<string, fc.Arbitrary<unknown>>>,
  requiredKeys: readonly string[] = [],
): fc.Arbitrary<Thing> {
  const field = (values: fc.Arbitrary<unknown>) =>
    fc.oneof({ weight: 6, arbitrary: values.map(asThing) }, { weight: 1, arbitrary: anyThing })
  // A few at a time, so that not all of them are refused for the first one.
  const fields = fc
    .subarray(Object.keys(likely), { maxLength: Math.min(4, Object.keys(likely).length) })
    .chain((keys) =>
      fc.record(
        Object.fromEntries(
          [...new Set([...requiredKeys, ...keys])].map((key) => [key, field(likely[key] as fc.Arbitrary<unknown>)]),
        ),
      ),
    )
  const others = fc.option(fc.tuple(fc.string({ maxLength: 12 }), anyThing), { freq: 5 })
  return fc.tuple(fields, others).map(([known, other]) => {
    const entries = Object.entries(known as Record<string, Thing>)
    if (other !== null) entries.push(other)
    const value: Record<string, unknown> = {}
    for (const [key, { value: content }] of entries) {
      Object.defineProperty(value, key, { value: content, enumerable: true, writable: true, configurable: true })
    }
    return thing(`{ ${entries.map(([key, { text }]) => `${JSON.stringify(key)}: ${text}`).join(', ')} }`, value)
  })
}

/** One of the likely ones, or anything. */
export function mostly(likely: fc.Arbitrary<Thing>): fc.Arbitrary<Thing> {
  return fc.oneof({ weight: 4, arbitrary: likely }, { weight: 1, arbitrary: anyThing })
}

export function listOf(values: fc.Arbitrary<unknown>, maxLength = 3): fc.Arbitrary<Thing> {
  return fc.array(values.map(asThing), { maxLength }).map((things) =>
    thing(
      `[${things.map(({ text }) => text).join(', ')}]`,
      things.map(({ value }) => value),
    ),
  )
}
