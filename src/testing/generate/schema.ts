/**
 * Turns a zod schema into a source of values that it accepts. Used by the event generator; pure, any thread.
 *
 * The walk mirrors compileLayout's. What bounds, lengths, formats and patterns say is drawn to fit; whatever else a
 * schema checks is asked of the schema itself, and drawn anew a bounded number of times.
 */
import type { z } from 'zod'
import { bigintBounds, dateNode, hasOtherChecks, lengthsOf, numberNode } from '../../contracts/codec/bounds.js'
import { layoutHints } from '../../contracts/types.js'
import { type Draw, deeper, drawBytes, drawCount, drawJson, isDeep, listOf, merge, ROOM } from './draws.js'
import { drawerOfBigints, drawerOfDates, drawerOfNumbers } from './number.js'
import type { Random } from './random.js'
import {
  asJson,
  cannot,
  checkedDraw,
  drawElement,
  drawPresent,
  highest,
  optionally,
  type Source,
  UNDEFINED,
  untilSuch,
} from './source.js'
import { compileText } from './text.js'

type Schema = z.core.$ZodType
type Def = z.core.$ZodTypes['_zod']['def']
type DefOf<Type extends Def['type']> = Extract<Def, { type: Type }>
type Path = readonly (string | number)[]

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
  return (random) => root.draw({ random, depth: 0, room: ROOM, isJson: false })
}

function compile(schema: Schema, path: Path, known: Map<Schema, Source>): Source {
  const met = known.get(schema)
  // A type within itself crosses as JSON.
  if (met !== undefined) return met.isReady ? met : asJson(met)
  const source: Source = {
    isReady: false,
    height: Number.POSITIVE_INFINITY,
    draw: () => undefined,
    measure: () => 0,
  }
  known.set(schema, source)
  const part = (inner: Schema, ...keys: Path) => compile(inner, [...path, ...keys], known)
  const made = shape(schema, schema._zod.def as Def, path, part)
  source.measure = () => 1 + made.measure()
  source.draw = made.mustCheck ? checkedDraw(schema, path, made.draw) : made.draw
  source.isReady = true
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
      const inner = asJson(part(def.getter()))
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
      const [left, right] = [asJson(part(def.left)), asJson(part(def.right))]
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
      run.room -= Math.max(made.length - lengths.minLength, 0)
      return made
    },
    measure: () => 0,
    mustCheck,
  }
}

function arrays(element: Source, def: DefOf<'array'>): Shape {
  const { minLength, maxLength } = lengthsOf(def)
  return {
    draw: (run) => listOf(run, drawCount(run, minLength, maxLength), (inner) => drawElement(inner, element)),
    measure: () => (minLength === 0 ? 0 : element.height),
    mustCheck: hasOtherChecks(def, 'lengths'),
  }
}

function tuples(def: DefOf<'tuple'>, part: PartOf, mustCheck: boolean): Shape {
  const items = def.items.map((item, index) => asJson(part(item, index)))
  const rest = def.rest === null ? null : asJson(part(def.rest, 'rest'))
  return {
    draw(run) {
      const extra = rest === null ? 0 : drawCount(run, 0, 3)
      return listOf(run, items.length + extra, (inner, index) => drawPresent(inner, (items[index] ?? rest)!))
    },
    measure: () => highest(items),
    mustCheck,
  }
}

function objects(def: DefOf<'object'>, part: PartOf, mustCheck: boolean): Shape {
  const hasOtherKeys = def.catchall !== undefined && def.catchall._zod.def.type !== 'never'
  const fields = Object.keys(def.shape).map((key) => ({
    key,
    source: hasOtherKeys ? asJson(part(def.shape[key]!, key)) : part(def.shape[key]!, key),
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
  // zod takes a key for a number when it looks like one.
  const isOfNumbers = def.keyType._zod.def.type === 'number'
  const isKey = (name: string) => !(name in {}) && (!isOfNumbers || /^-?\d+(?:\.\d+)?$/.test(name))
  const draw: Draw = (run) => {
    const made: Record<string, unknown> = {}
    const count = names === undefined ? drawCount(run, 0, 8) : 0
    deeper(run, () => {
      for (const name of names ?? []) {
        if (def.partial !== true || run.random.chance(0.6)) made[String(name)] = drawPresent(run, value)
      }
      for (let left = count; left > 0; left--) {
        const name = String(key.draw(run))
        if (isKey(name)) made[name] = drawPresent(run, value)
      }
    })
    return made
  }
  return { draw, measure: () => (names === undefined || def.partial === true ? 0 : value.height), mustCheck }
}

function unions(def: DefOf<'union'>, part: PartOf, mustCheck: boolean): Shape {
  const options = def.options
    .map((option, index) => (option._zod.def.type === 'undefined' ? null : asJson(part(option, 'variants', index))))
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
