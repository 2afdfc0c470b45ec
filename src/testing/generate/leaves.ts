/** Draws for schemas without parts: numbers, dates, text, bytes. For the event generator. Pure. */
import { bigintBounds, dateNode, hasOtherChecks, lengthsOf, numberNode } from '../../contracts/codec/bounds.js'
import { layoutHints } from '../../contracts/types.js'
import { type Draw, drawBytes, isDeep } from './draws.js'
import { drawerOfBigints, drawerOfDates, drawerOfNumbers } from './number.js'
import type { DefOf, Schema, Shape } from './source.js'
import { compileText } from './text.js'

export function leaf(draw: Draw, mustCheck: boolean): Shape {
  return { draw, measure: () => 0, mustCheck }
}

/** The shape of hookring's own types, such as bytes(); null: it is none of them. */
export function hintedShape(schema: Schema, mustCheck: boolean): Shape | null {
  const hint = layoutHints.get(schema)
  if (hint === undefined) return null
  if (hint.kind === 'bytes') return leaf(drawBytes(hint.length ?? 0, hint.length ?? hint.maxLength), mustCheck)
  const draw = drawerOfBigints(hint.min, hint.max, null)
  return leaf(({ random }) => draw(random), mustCheck)
}

export function numbers(def: DefOf<'number'>): Shape {
  const node = numberNode(def) as Parameters<typeof drawerOfNumbers>[0]
  const draw = drawerOfNumbers(node, stepOf<number>(def))
  // To zod, a float32 is a number like any other.
  return leaf(({ random }) => draw(random), hasOtherChecks(def, 'numbers'))
}

export function bigints(def: DefOf<'bigint'>): Shape {
  const { min, max } = bigintBounds(def)
  const draw = drawerOfBigints(min ?? -(2n ** 63n), max ?? 2n ** 63n - 1n, stepOf<bigint>(def))
  return leaf(({ random }) => draw(random), hasOtherChecks(def, 'numbers'))
}

export function dates(def: DefOf<'date'>): Shape {
  const draw = drawerOfDates(dateNode(def) as Parameters<typeof drawerOfDates>[0])
  return leaf(({ random }) => draw(random), hasOtherChecks(def, 'numbers'))
}

export function choices(values: readonly unknown[], mustCheck: boolean): Shape {
  return leaf(({ random }) => random.pick(values), mustCheck)
}

export function strings(def: DefOf<'string'>): Shape {
  return text(checksOf(def), lengthsOf(def), hasOtherChecks(def, 'lengths'))
}

export function templates(schema: Schema): Shape {
  const { pattern } = schema._zod as unknown as { pattern: RegExp }
  return text([{ pattern }], { minLength: 0, maxLength: 16 }, true)
}

/** .refine() makes clones, which lose the class; their parents have it. */
export function isBytesClass(schema: Schema): boolean {
  for (let at: Schema | undefined = schema; at !== undefined; at = at._zod.parent) {
    if (at._zod.bag.Class === Uint8Array) return true
  }
  return false
}

type Checks = readonly Readonly<Record<string, unknown>>[]

function text(checks: Checks, lengths: { minLength: number; maxLength: number }, mustCheck: boolean): Shape {
  const draw = compileText({ ...lengths, checks })
  return leaf((run) => {
    const made = draw(run.random, isDeep(run) ? 8 : Math.min(run.room, 4096))
    run.room -= Math.max(made.length - lengths.minLength, 0)
    return made
  }, mustCheck)
}

/** What the value is a multiple of. */
function stepOf<T>(def: DefOf<'number' | 'bigint'>): T | null {
  return (checksOf(def).find(({ check }) => check === 'multiple_of')?.value as T | undefined) ?? null
}

function checksOf(def: { checks?: readonly { _zod: { def: object } }[] | undefined }): Checks {
  const added = (def.checks ?? []).map(({ _zod }) => _zod.def as Readonly<Record<string, unknown>>)
  return 'check' in def ? [def as unknown as Readonly<Record<string, unknown>>, ...added] : added
}
