/**
 * Turns a zod schema into a source of values that it accepts. For the event generator. Pure, any thread.
 *
 * The walk follows compileLayout's. Values are drawn to fit bounds, lengths, formats and patterns. Whatever else a schema
 * checks, the schema itself is asked, and the value is drawn again a bounded number of times.
 */

import { hasOtherChecks, lengthsOf } from '../../contracts/codec/bounds.js'
import type { RecordTraits, UnionTraits } from '../../contracts/codec/compile-rules.js'
import { type Draw, deeper, drawBytes, drawCount, drawJson, isDeep, listOf, merge, ROOM } from './draws.js'
import { bigints, choices, dates, hintedShape, isBytesClass, leaf, numbers, strings, templates } from './leaves.js'
import type { Random } from './random.js'
import {
  asJson,
  cannot,
  checkedDraw,
  type Def,
  type DefOf,
  drawElement,
  drawPresent,
  highest,
  optionally,
  type Path,
  type Schema,
  type Shape,
  type Source,
  UNDEFINED,
  untilSuch,
} from './source.js'

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
  // A type that contains itself crosses as JSON.
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

type PartOf = (inner: Schema, ...keys: Path) => Source

function shape(schema: Schema, def: Def, path: Path, part: PartOf): Shape {
  const mustCheck = hasOtherChecks(def, 'none')
  const hinted = hintedShape(schema, mustCheck)
  if (hinted !== null) return hinted
  switch (def.type) {
    case 'boolean':
      return leaf(({ random }) => random.chance(0.5), mustCheck)
    case 'number':
      return numbers(def)
    case 'bigint':
      return bigints(def)
    case 'date':
      return dates(def)
    case 'string':
      return strings(def)
    case 'template_literal':
      return templates(schema)
    case 'null':
      return leaf(() => null, mustCheck)
    case 'enum':
    case 'literal':
      return choices([...(schema._zod.values ?? [])], mustCheck)
    case 'custom':
      if (!isBytesClass(schema)) break
      return leaf(drawBytes(0, Number.POSITIVE_INFINITY), mustCheck)
    case 'any':
    case 'unknown':
      return leaf((run) => drawJson(run), mustCheck)
    case 'optional':
    case 'default':
    case 'prefault':
      return { draw: optionally(part(def.innerType), undefined), measure: () => 0, mustCheck }
    case 'nullable':
      return { draw: optionally(part(def.innerType), null), measure: () => 0, mustCheck }
    case 'nonoptional':
      return nonoptional(part(def.innerType), path, mustCheck)
    case 'readonly':
      return like(part(def.innerType), mustCheck)
    case 'lazy':
      return like(asJson(part(def.getter())), mustCheck)
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
    case 'intersection':
      return intersections(def, part)
  }
  throw cannot(path, `there is nothing that makes values of z.${def.type}()`)
}

function like(inner: Source, mustCheck: boolean): Shape {
  return { draw: (run) => inner.draw(run), measure: () => inner.height, mustCheck }
}

function nonoptional(inner: Source, path: Path, mustCheck: boolean): Shape {
  const draw = untilSuch(
    path,
    (run) => inner.draw(run),
    (value) => value !== undefined,
  )
  return { draw, measure: () => inner.height, mustCheck }
}

function intersections(def: DefOf<'intersection'>, part: PartOf): Shape {
  const [left, right] = [asJson(part(def.left)), asJson(part(def.right))]
  return {
    draw: (run) => merge(left.draw(run), right.draw(run)),
    measure: () => Math.max(left.height, right.height),
    mustCheck: true,
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

function records(def: DefOf<'record'> & RecordTraits, part: PartOf, mustCheck: boolean): Shape {
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

function unions(def: DefOf<'union'> & UnionTraits, part: PartOf, mustCheck: boolean): Shape {
  // Older versions of zod say with a z.never() that not every key of a record need be there.
  const possible = def.options.filter((option) => option._zod.def.type !== 'never')
  const options = (possible.length > 0 ? possible : def.options)
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
