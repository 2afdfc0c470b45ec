/**
 * Turns a zod schema into a source of values that it accepts. Used by the event generator; pure, any thread.
 *
 * The walk mirrors compileLayout's. What bounds, lengths, formats and patterns say is drawn to fit; whatever else a
 * schema checks is asked of the schema itself, and drawn anew a bounded number of times.
 */
import type { z } from 'zod'
import { bigintBounds, dateNode, hasOtherChecks, lengthsOf, numberNode } from '../contracts/codec/bounds.js'
import { checkOf } from '../contracts/codec/compile-rules.js'
import { formatPath, HookringError } from '../contracts/errors.js'
import { layoutHints } from '../contracts/types.js'
import { drawerOfBigints, drawerOfDates, drawerOfNumbers } from './generate-number.js'
import { type Random, smallUpTo } from './generate-random.js'
import { compileText } from './generate-text.js'

type Schema = z.core.$ZodType
type Def = z.core.$ZodTypes['_zod']['def']
type DefOf<Type extends Def['type']> = Extract<Def, { type: Type }>
type Path = readonly (string | number)[]

/** How often a value is drawn anew before its schema is given up. */
export const MAX_DRAWS = 1000
/** Levels of containers after which values become as small as the schema allows. */
const DEEP = 5
/** Bytes, characters and elements that one event may have beyond what its schema asks for. */
const ROOM = 64 * 1024

export interface Run {
  readonly random: Random
  depth: number
  room: number
}

/** A source of values; `height` is how many levels its smallest value has, infinite while it is not known. */
export interface Source {
  height: number
  draw(run: Run): unknown
  /** What `height` comes to, by the heights of the parts. */
  measure(): number
}

type Draw = (run: Run) => unknown

/** @throws HookringError EVENT_NOT_GENERATED, at once or from draw, naming the field */
export function compileSource(schema: Schema, path: Path): (random: Random) => unknown {
  const known = new Map<Schema, Source>()
  const root = compile(schema, path, known)
  for (let isChanged = true; isChanged; ) {
    isChanged = false
    for (const source of known.values()) {
      const height = source.measure()
      if (height < source.height) isChanged = true
      source.height = height
    }
  }
  if (root.height === Number.POSITIVE_INFINITY) throw cannot(path, 'it holds itself without end')
  return (random) => root.draw({ random, depth: 0, room: ROOM })
}

function compile(schema: Schema, path: Path, known: Map<Schema, Source>): Source {
  const met = known.get(schema)
  if (met !== undefined) return met
  const source: Source = {
    height: Number.POSITIVE_INFINITY,
    draw: () => undefined,
    measure: () => 0,
  }
  known.set(schema, source)
  const part = (inner: Schema, ...keys: Path) => compile(inner, [...path, ...keys], known)
  const made = shape(schema, schema._zod.def as Def, path, part)
  source.measure = () => 1 + made.measure()
  source.draw = made.mustCheck ? checkedDraw(schema, path, made.draw) : made.draw
  return source
}

interface Shape {
  readonly draw: Draw
  measure(): number
  /** The schema says more than was read from it here. */
  readonly mustCheck: boolean
}

type PartOf = (inner: Schema, ...keys: Path) => Source

function shape(schema: Schema, def: Def, path: Path, part: PartOf): Shape {
  const mustCheck = hasOtherChecks(def, 'none')
  const leaf = (draw: Draw, isChecked = mustCheck): Shape => ({ draw, measure: () => 0, mustCheck: isChecked })
  const like = (inner: Source, draw: Draw, height = () => inner.height): Shape => ({ draw, measure: height, mustCheck })
  const hint = layoutHints.get(schema)
  if (hint?.kind === 'bytes') return leaf(drawBytes(hint.length ?? 0, hint.length ?? hint.maxLength))
  if (hint !== undefined) {
    const draw = drawerOfBigints(hint.min, hint.max, null)
    return leaf(({ random }) => draw(random))
  }

  switch (def.type) {
    case 'boolean':
      return leaf(({ random }) => random.chance(0.5))
    case 'number':
      return numbers(def)
    case 'bigint': {
      const { min, max } = bigintBounds(def)
      const step = checksOf(def).find(({ check }) => check === 'multiple_of')?.value as bigint | undefined
      const draw = drawerOfBigints(min ?? -(2n ** 63n), max ?? 2n ** 63n - 1n, step ?? null)
      return leaf(({ random }) => draw(random), hasOtherChecks(def, 'numbers'))
    }
    case 'date': {
      const draw = drawerOfDates(dateNode(def) as Parameters<typeof drawerOfDates>[0])
      return leaf(({ random }) => draw(random), hasOtherChecks(def, 'numbers'))
    }
    case 'string':
      return text(checksOf(def), lengthsOf(def), hasOtherChecks(def, 'lengths'))
    case 'template_literal': {
      const { pattern } = schema._zod as unknown as { pattern: RegExp }
      return text([{ pattern }], { minLength: 0, maxLength: 16 }, true)
    }
    case 'null':
      return leaf(() => null)
    case 'enum':
    case 'literal': {
      const values = [...(schema._zod.values ?? [])]
      return leaf(({ random }) => random.pick(values))
    }
    case 'custom':
      if (!isBytesClass(schema)) break
      return leaf(drawBytes(0, Number.POSITIVE_INFINITY))
    case 'any':
    case 'unknown':
      return leaf((run) => drawJson(run))
    case 'optional':
    case 'default':
    case 'prefault': {
      const inner = part(def.innerType)
      return like(inner, optionally(inner, undefined), () => 0)
    }
    case 'nullable': {
      const inner = part(def.innerType)
      return like(inner, optionally(inner, null), () => 0)
    }
    case 'nonoptional': {
      const inner = part(def.innerType)
      const draw = untilSuch(
        path,
        (run) => inner.draw(run),
        (value) => value !== undefined,
      )
      return like(inner, draw)
    }
    case 'readonly': {
      const inner = part(def.innerType)
      return like(inner, (run) => inner.draw(run))
    }
    case 'lazy': {
      const inner = part(def.getter())
      return like(inner, (run) => inner.draw(run))
    }
    case 'array':
      return arrays(part(def.element, 'element'), def)
    case 'tuple':
      return tuples(def, part, mustCheck)
    case 'object':
      return objects(def, part, mustCheck)
    case 'record':
      return records(def, part, mustCheck)
    case 'union':
      return unions(def, part, mustCheck)
    case 'intersection': {
      const [left, right] = [part(def.left), part(def.right)]
      return {
        draw: (run) => merge(left.draw(run), right.draw(run)),
        measure: () => Math.max(left.height, right.height),
        mustCheck: true,
      }
    }
  }
  throw cannot(path, `there is nothing that makes values of z.${def.type}()`)
}

function numbers(def: DefOf<'number'>): Shape {
  const node = numberNode(def) as Parameters<typeof drawerOfNumbers>[0]
  const step = checksOf(def).find(({ check }) => check === 'multiple_of')?.value as number | undefined
  const draw = drawerOfNumbers(node, step ?? null)
  // A float32 is a number like any other to zod.
  return { draw: ({ random }) => draw(random), measure: () => 0, mustCheck: hasOtherChecks(def, 'numbers') }
}

function text(
  checks: readonly Readonly<Record<string, unknown>>[],
  lengths: { minLength: number; maxLength: number },
  mustCheck: boolean,
): Shape {
  const draw = compileText({ ...lengths, checks })
  return {
    draw(run) {
      const made = draw(run.random, isDeep(run) ? 8 : Math.min(run.room, 4096))
      run.room -= made.length
      return made
    },
    measure: () => 0,
    mustCheck,
  }
}

function drawBytes(min: number, max: number): Draw {
  return (run) => {
    const { random } = run
    const most = Math.max(min, Math.min(max, run.room, isDeep(run) ? 16 : ROOM))
    const isBoundary = random.chance(0.05)
    const usual = Math.min(most - min, random.chance(0.1) ? most : 512)
    const length = isBoundary ? random.pick([min, most]) : min + smallUpTo(random, usual)
    const made = new Uint8Array(length)
    if (random.chance(0.03)) made.fill(random.pick([0, 0xff]))
    else for (let i = 0; i < length; i++) made[i] = random.below(256)
    run.room -= length
    return made
  }
}

function optionally(inner: Source, absent: null | undefined): Draw {
  return (run) => (run.random.chance(isDeep(run) ? 0.9 : 0.25) ? absent : inner.draw(run))
}

function arrays(element: Source, def: DefOf<'array'>): Shape {
  const { minLength, maxLength } = lengthsOf(def)
  return {
    draw: (run) => listOf(run, drawCount(run, minLength, maxLength), (inner) => element.draw(inner)),
    measure: () => (minLength === 0 ? 0 : element.height),
    mustCheck: hasOtherChecks(def, 'lengths'),
  }
}

function tuples(def: DefOf<'tuple'>, part: PartOf, mustCheck: boolean): Shape {
  const items = def.items.map((item, index) => part(item, index))
  const rest = def.rest === null ? null : part(def.rest, 'rest')
  return {
    draw(run) {
      const extra = rest === null ? 0 : drawCount(run, 0, 3)
      return listOf(run, items.length + extra, (inner, index) => (items[index] ?? rest)!.draw(inner))
    },
    measure: () => highest(items),
    mustCheck,
  }
}

function objects(def: DefOf<'object'>, part: PartOf, mustCheck: boolean): Shape {
  const fields = Object.keys(def.shape).map((key) => ({
    key,
    source: part(def.shape[key]!, key),
    mayBeAbsent: def.shape[key]!._zod.optin !== undefined,
  }))
  return {
    draw(run) {
      const made: Record<string, unknown> = {}
      deeper(run, () => {
        for (const { key, source, mayBeAbsent } of fields) {
          const value = source.draw(run)
          if (value !== undefined || !mayBeAbsent) made[key] = value
        }
      })
      return made
    },
    measure: () => highest(fields.map(({ source }) => source)),
    mustCheck,
  }
}

function records(def: DefOf<'record'>, part: PartOf, mustCheck: boolean): Shape {
  const names = def.keyType._zod.values
  const [key, value] = [part(def.keyType, 'key'), part(def.valueType, 'value')]
  const draw: Draw = (run) => {
    const made: Record<string, unknown> = {}
    const count = names === undefined ? drawCount(run, 0, 8) : 0
    deeper(run, () => {
      for (const name of names ?? []) {
        if (def.partial !== true || run.random.chance(0.6)) made[String(name)] = value.draw(run)
      }
      for (let left = count; left > 0; left--) {
        const name = String(key.draw(run))
        if (!(name in {})) made[name] = value.draw(run)
      }
    })
    return made
  }
  return { draw, measure: () => (names === undefined || def.partial === true ? 0 : value.height), mustCheck }
}

function unions(def: DefOf<'union'>, part: PartOf, mustCheck: boolean): Shape {
  const options = def.options
    .map((option, index) => (option._zod.def.type === 'undefined' ? null : part(option, 'variants', index)))
    .map((source) => source ?? UNDEFINED)
  const lowest = () => Math.min(...options.map(({ height }) => height))
  return {
    draw(run) {
      const within = isDeep(run) ? lowest() : Number.MAX_VALUE
      return run.random.pick(options.filter(({ height }) => height <= within)).draw(run)
    },
    measure: lowest,
    // Of an exclusive one, what two options accept is refused.
    mustCheck: mustCheck || (!('discriminator' in def) && def.inclusive === false),
  }
}

const UNDEFINED: Source = { height: 0, draw: () => undefined, measure: () => 0 }

function checkedDraw(schema: Schema, path: Path, draw: Draw): Draw {
  const check = checkOf(schema)
  return untilSuch(path, draw, (value) => check(value).ok)
}

function untilSuch(path: Path, draw: Draw, isRight: (value: unknown) => boolean): Draw {
  return (run) => {
    const { room } = run
    let cause: unknown
    for (let tries = 0; tries < MAX_DRAWS; tries++) {
      run.room = room
      const value = draw(run)
      try {
        if (isRight(value)) return value
      } catch (error) {
        cause = error
      }
    }
    throw cannot(path, `none of ${MAX_DRAWS} values that were tried passes the checks of its schema`, cause)
  }
}

function cannot(path: Path, why: string, cause?: unknown): HookringError {
  return new HookringError(
    'EVENT_NOT_GENERATED',
    `${formatPath(path)}: no valid value could be made up, ${why}; use events of your own, or a recording of real ones`,
    { path, cause },
  )
}

const isDeep = ({ depth }: Run) => depth >= DEEP

function deeper<T>(run: Run, body: () => T): T {
  run.depth += 1
  try {
    return body()
  } finally {
    run.depth -= 1
  }
}

function listOf(run: Run, count: number, draw: (run: Run, index: number) => unknown): unknown[] {
  run.room -= count
  return deeper(run, () => Array.from({ length: count }, (_, index) => draw(run, index)))
}

/** Elements of an array: a few, more where they are not nested, none deep down. */
function drawCount(run: Run, min: number, max: number): number {
  if (isDeep(run)) return min
  const most = Math.max(min, Math.min(max, run.room, run.depth < 2 ? 64 : 6))
  if (run.random.chance(0.04)) return run.random.pick([min, most])
  return min + smallUpTo(run.random, Math.min(most - min, run.random.chance(0.1) ? most : 8))
}

function drawJson(run: Run): unknown {
  const { random } = run
  const kind = isDeep(run) || run.depth > 2 ? random.below(4) : random.below(6)
  switch (kind) {
    case 0:
      return null
    case 1:
      return random.chance(0.5)
    case 2:
      return random.below(1_000_000) / random.pick([1, 1, 100])
    case 3:
      return JSON_TEXT(random, 64)
    case 4:
      return listOf(run, drawCount(run, 0, 4), drawJson)
    default:
      return deeper(run, () =>
        Object.fromEntries(Array.from({ length: random.below(4) }, (_, index) => [`key${index}`, drawJson(run)])),
      )
  }
}

const JSON_TEXT = compileText({ minLength: 0, maxLength: 64, checks: [] })

function merge(left: unknown, right: unknown): unknown {
  const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null
  return isObject(left) && isObject(right) && !Array.isArray(left) ? { ...left, ...right } : right
}

const highest = (sources: readonly Source[]) => sources.reduce((most, { height }) => Math.max(most, height), 0)

function checksOf(def: { checks?: readonly { _zod: { def: object } }[] | undefined }) {
  const added = (def.checks ?? []).map(({ _zod }) => _zod.def as Readonly<Record<string, unknown>>)
  return 'check' in def ? [def as unknown as Readonly<Record<string, unknown>>, ...added] : added
}

/** Clones, which .refine() makes, lose the class; their parents have it. */
function isBytesClass(schema: Schema): boolean {
  for (let at: Schema | undefined = schema; at !== undefined; at = at._zod.parent) {
    if (at._zod.bag.Class === Uint8Array) return true
  }
  return false
}
