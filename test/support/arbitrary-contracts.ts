/**
 * Generated contracts: zod schemas of every type that the codec supports, nested at random, each with values that it
 * admits. zod itself is the oracle: what a hook must see is what `schema.parse(value)` returns.
 */
import fc from 'fast-check'
import { z } from 'zod'
import { bytes, u8, u16, u64 } from '../../dist/contracts/types.js'
import { anyBytes, f64, I64_LIMIT, key, leaf, type Part, part, text, U64_MAX } from './arbitrary-fields.js'

/** A schema, an event that it admits, and the event as hooks are to see it. */
export interface ContractCase {
  readonly schema: z.ZodType
  /** The schema in words. */
  readonly text: string
  readonly event: unknown
  readonly expected: unknown
}

/** The same cases for the same seed, on any thread. */
export function sampleCases(cases: fc.Arbitrary<ContractCase>, seed: number, count: number): ContractCase[] {
  return fc.sample(cases, { seed, numRuns: count })
}

/** An event in plain form: of a lazily read one, all fields that its class offers. Absent and undefined are the same. */
export function plainOf(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || value instanceof Date) return value
  if (value instanceof Uint8Array) return new Uint8Array(value)
  if (Array.isArray(value)) return value.map(plainOf)
  const plain: Record<string, unknown> = {}
  // Not Object.keys: the fields of an event are getters of its prototype.
  for (const key in value) {
    const field = (value as Record<string, unknown>)[key]
    if (field === undefined) continue
    Object.defineProperty(plain, key, { value: plainOf(field), enumerable: true })
  }
  return plain
}

function caseOf({ schema, text, values }: Part): fc.Arbitrary<ContractCase> {
  return values.map((event) => {
    const made = { schema, text, event, expected: plainOf(schema.parse(event)) }
    Object.defineProperty(made, fc.toStringMethod, { value: () => `${text} with ${fc.stringify(event)}` })
    return made
  })
}

function partOf(depth: number): fc.Arbitrary<Part> {
  if (depth === 0) return wrapped(leaf)
  const inner = fc.oneof({ weight: 3, arbitrary: leaf }, { weight: 2, arbitrary: partOf(depth - 1) })
  return wrapped(
    fc.oneof(
      { weight: 4, arbitrary: leaf },
      { weight: 2, arbitrary: arrayOf(inner) },
      { weight: 3, arbitrary: objectOf(inner) },
      { weight: 1, arbitrary: recordOf(inner) },
      { weight: 1, arbitrary: enumRecordOf(inner) },
      { weight: 1, arbitrary: scalarUnion },
      { weight: 1, arbitrary: taggedUnionOf(inner) },
      { weight: 1, arbitrary: objectUnionOf(inner) },
      { weight: 1, arbitrary: tupleOf(inner.filter(({ isJson }) => isJson)) },
      { weight: 1, arbitrary: intersectionOf(inner.filter(({ isJson }) => isJson)) },
      { weight: 1, arbitrary: tree },
    ),
  )
}

function wrapped(inner: fc.Arbitrary<Part>): fc.Arbitrary<Part> {
  return inner.chain((of) =>
    fc.oneof(
      { weight: 6, arbitrary: fc.constant(of) },
      part(`${of.text} | null`, of.schema.nullable(), fc.option(of.values, { nil: null }), of.isJson),
      // zod freezes what is read-only, which bytes by themselves cannot be.
      part(`readonly (${of.text})[]`, z.array(of.schema).readonly(), fc.array(of.values, { maxLength: 2 }), of.isJson),
      part(`branded ${of.text}`, of.schema.brand('brand'), of.values, of.isJson),
      part(
        `refined ${of.text}`,
        of.schema.refine(() => true),
        of.values,
        of.isJson,
      ),
      part(`required ${of.text}`, z.nonoptional(of.schema.optional()), of.values.filter(isPresent), of.isJson),
      part(
        `nullish of nullable ${of.text}`,
        of.schema.nullable().nullish(),
        fc.option(of.values, { nil: null }),
        of.isJson,
      ),
    ),
  )
}

const isPresent = (value: unknown) => value !== undefined

function arrayOf(element: fc.Arbitrary<Part>): fc.Arbitrary<Part> {
  return element.chain((of) =>
    fc.oneof(
      part(`(${of.text})[]`, z.array(of.schema), fc.array(of.values, { maxLength: 6 }), of.isJson),
      part(
        `(${of.text})[1..3]`,
        z.array(of.schema).min(1).max(3),
        fc.array(of.values, { minLength: 1, maxLength: 3 }),
        of.isJson,
      ),
      part(
        `(${of.text}?)[]`,
        z.array(of.schema.optional()),
        fc.array(fc.option(of.values, { nil: undefined }), { maxLength: 3 }),
      ),
    ),
  )
}

interface Field {
  readonly key: string
  readonly of: Part
  readonly how: 'required' | 'optional' | 'default'
}

function fieldsOf(inner: fc.Arbitrary<Part>): fc.Arbitrary<Field[]> {
  const how = fc.constantFrom('required', 'required', 'optional', 'default') as fc.Arbitrary<Field['how']>
  return fc.uniqueArray(fc.record({ key, of: inner, how }), { selector: (field) => field.key, maxLength: 6 })
}

function objectOf(inner: fc.Arbitrary<Part>): fc.Arbitrary<Part> {
  return fc.tuple(fieldsOf(inner), fc.boolean(), fc.boolean()).chain(([fields, isStrict, isRefined]) =>
    // A default must be one of the values.
    fc.tuple(...fields.map(({ of }) => of.values)).chain((defaults) => {
      const shape: Record<string, z.ZodType> = {}
      for (const [index, { key, of, how }] of fields.entries()) {
        if (how === 'required') shape[key] = of.schema
        else if (how === 'optional' || defaults[index] === undefined) shape[key] = of.schema.optional()
        else
          shape[key] =
            index % 2 === 0
              ? of.schema.prefault(defaults[index])
              : z._default(of.schema, of.schema.parse(defaults[index]))
      }
      const schema = isStrict ? z.strictObject(shape) : z.object(shape)
      const required = fields.filter(({ how }) => how === 'required').map((field) => field.key)
      const values = fc.record(Object.fromEntries(fields.map((field) => [field.key, field.of.values])), {
        requiredKeys: required,
        noNullPrototype: true,
      })
      const described = fields
        .map(({ key, of, how }) => `${JSON.stringify(key)}${how === 'required' ? '' : '?'}: ${of.text}`)
        .join(', ')
      return part(
        `${isStrict ? 'strict ' : ''}${isRefined ? 'refined ' : ''}{ ${described} }`,
        isRefined ? schema.refine(() => true) : schema,
        isStrict ? values : values.map((value) => ({ ...value, 'not of the contract': Symbol('dropped') })),
        isStrict && fields.every(({ of }) => of.isJson),
      )
    }),
  )
}

function recordOf(inner: fc.Arbitrary<Part>): fc.Arbitrary<Part> {
  const keys = key.filter((name) => name.length > 0)
  return inner.chain((of) =>
    fc.oneof(
      part(
        `record of ${of.text}`,
        z.record(z.string(), of.schema),
        fc.dictionary(keys, of.values, { maxKeys: 5, noNullPrototype: true }),
        of.isJson,
      ),
      part(
        `record by long keys of ${of.text}`,
        z.record(z.string().min(2).regex(/^k/), of.schema),
        fc.dictionary(fc.stringMatching(/^k[a-z]{2,6}$/), of.values, { maxKeys: 3, noNullPrototype: true }),
        of.isJson,
      ),
      part(
        `record by number of ${of.text}`,
        z.record(z.number(), of.schema),
        fc.dictionary(fc.nat().map(String), of.values, { maxKeys: 3, noNullPrototype: true }),
        of.isJson,
      ),
    ),
  )
}

function enumRecordOf(inner: fc.Arbitrary<Part>): fc.Arbitrary<Part> {
  const names = z.enum(['x', 'y', 'copy'])
  return inner.chain((of) =>
    fc.oneof(
      part(
        `record of x, y, copy to ${of.text}`,
        z.record(names, of.schema),
        fc.record({ x: of.values, y: of.values, copy: of.values }, { noNullPrototype: true }),
        of.isJson,
      ),
      part(
        `partial record of x, y, copy to ${of.text}`,
        z.partialRecord(names, of.schema),
        fc.record(
          { x: of.values.filter(isPresent), y: of.values.filter(isPresent) },
          { requiredKeys: [], noNullPrototype: true },
        ),
        of.isJson,
      ),
    ),
  )
}

const scalarUnion: fc.Arbitrary<Part> = fc.oneof(
  part('string | number', z.union([z.string(), z.number()]), fc.oneof(text, f64)),
  part("'a' | 'b' | 3", z.union([z.literal('a'), z.literal('b'), z.literal(3)]), fc.constantFrom('a', 'b', 3), true),
  part(
    'string | null | undefined',
    z.union([z.string(), z.null(), z.undefined()]),
    fc.oneof(text, fc.constantFrom(null, undefined)),
  ),
  part(
    'email | uuid | int',
    z.union([z.email(), z.uuid(), z.int()]),
    fc.oneof(fc.constant('a@b.example'), fc.uuid(), fc.integer()),
    true,
  ),
  part(
    'bytes | date | string',
    z.union([bytes(), z.date(), z.string()]),
    fc.oneof(anyBytes, fc.date({ noInvalidDate: true }), text),
  ),
  part(
    'u8 | u64 | bigint',
    z.union([u8(), u64(), z.int64()]),
    fc.oneof(fc.nat(), fc.bigInt({ min: -I64_LIMIT, max: U64_MAX })),
  ),
  part(
    'string[] | number[]',
    z.union([z.array(z.string()), z.array(z.number())]),
    fc.oneof(fc.array(text, { maxLength: 3 }), fc.array(f64, { maxLength: 3 })),
  ),
  part('string ^ number', z.xor([z.string(), z.number()]), fc.oneof(text, f64)),
)

function taggedUnionOf(inner: fc.Arbitrary<Part>): fc.Arbitrary<Part> {
  return fc.tuple(inner, inner, inner, fc.boolean()).chain(([one, two, three, isRefined]) => {
    const last = z.object({ kind: z.literal(['three', 'drei', 3]), value: three.schema })
    const schema = z.discriminatedUnion('kind', [
      z.object({ kind: z.literal('one'), value: one.schema }),
      z.strictObject({ before: u16(), kind: z.literal('two'), value: two.schema.optional() }),
      isRefined ? last.refine(() => true) : last,
    ])
    const values = fc.oneof(
      fc.record({ kind: fc.constant('one'), value: one.values }),
      fc.record(
        { kind: fc.constant('two'), before: fc.nat(65_535), value: two.values },
        { requiredKeys: ['kind', 'before'] },
      ),
      fc.record({ kind: fc.constantFrom('three', 'drei', 3), value: three.values }),
    )
    return part(`one: ${one.text} | two: ${two.text} | three: ${three.text}`, schema, values)
  })
}

/** Told apart by their fields; only types that the layout says whole, else zod would have to decide. */
function objectUnionOf(inner: fc.Arbitrary<Part>): fc.Arbitrary<Part> {
  return inner.chain((of) => {
    const schema = z.union([
      z.object({ a: z.string(), b: u8().optional() }),
      z.object({ a: z.number(), c: bytes(4).nullable() }),
      z.array(z.string()),
      z.object({ d: z.boolean(), e: z.object({ f: u64() }) }),
    ])
    const values = fc.oneof(
      fc.record({ a: text, b: fc.nat(255) }, { requiredKeys: ['a'] }),
      fc.record({ a: f64, c: fc.option(fc.uint8Array({ minLength: 4, maxLength: 4 })) }),
      fc.array(text, { maxLength: 2 }),
      fc.record({ d: fc.boolean(), e: fc.record({ f: fc.nat() }) }),
    )
    return part(
      `{ by shape } | ${of.text} in a box`,
      z.object({ shape: schema, box: of.schema.optional() }),
      fc.record({ shape: values, box: of.values }, { requiredKeys: ['shape'] }),
    )
  })
}

function tupleOf(item: fc.Arbitrary<Part>): fc.Arbitrary<Part> {
  return fc.tuple(item, item).chain(([one, two]) =>
    part(
      `[${one.text}, ${two.text}]`,
      z.tuple([one.schema, two.schema]),
      fc.tuple(one.values, two.values).filter((items) => items.every(isPresent)),
      true,
    ),
  )
}

function intersectionOf(item: fc.Arbitrary<Part>): fc.Arbitrary<Part> {
  return item.chain((of) =>
    part(
      `{ left: ${of.text} } & { right: string }`,
      z.intersection(z.object({ left: of.schema }), z.object({ right: z.string() })),
      fc.record({ left: of.values.filter(isPresent), right: text }, { noNullPrototype: true }),
    ),
  )
}

interface Tree {
  name: string
  children: Tree[]
}
const treeSchema: z.ZodType<Tree> = z.lazy(() => z.object({ name: z.string(), children: z.array(treeSchema) }))
const shapedTree = z.object({
  name: z.string(),
  get children() {
    return z.array(shapedTree)
  },
})
const trees: fc.Arbitrary<Tree> = fc.letrec<{ tree: Tree }>((tie) => ({
  tree: fc.record(
    {
      name: text,
      children: fc.oneof({ maxDepth: 3 }, fc.constant<Tree[]>([]), fc.array(tie('tree'), { maxLength: 2 })),
    },
    { noNullPrototype: true },
  ),
})).tree
const tree: fc.Arbitrary<Part> = fc.oneof(
  part('lazy tree', treeSchema, trees, true),
  part('tree by getter', shapedTree, trees),
)

/** Cases whose event is an object, as nearly all events are. */
export const objectCases: fc.Arbitrary<ContractCase> = objectOf(partOf(2)).chain(caseOf)

/** Cases whose event is of any type. */
export const anyCases: fc.Arbitrary<ContractCase> = partOf(3).chain(caseOf)
