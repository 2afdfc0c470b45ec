/**
 * Draws what needs no schema: counts, bytes, JSON and lists, within an event's room and depth. For the event generator.
 * Pure.
 */
import { type Random, smallUpTo } from './random.js'
import { compileText } from './text.js'

/** Nested deeper than this, values become as small as the schema allows. */
const DEEP = 5
/** How many bytes, characters and elements one event may have beyond what its schema requires. */
export const ROOM = 64 * 1024

export interface Run {
  readonly random: Random
  depth: number
  room: number
  /** The value is inside a field that may cross as JSON, whose lists and records cannot hold undefined. */
  isJson: boolean
}

export type Draw = (run: Run) => unknown

export function drawBytes(min: number, max: number): Draw {
  return (run) => {
    const { random } = run
    const most = Math.max(min, Math.min(max, run.room, isDeep(run) ? 16 : ROOM))
    const isBoundary = random.chance(0.05)
    const usual = Math.min(most - min, random.chance(0.1) ? most : 512)
    const length = isBoundary ? random.pick([min, most]) : min + smallUpTo(random, usual)
    const made = new Uint8Array(length)
    if (random.chance(0.03)) made.fill(random.pick([0, 0xff]))
    else for (let i = 0; i < length; i++) made[i] = random.below(256)
    run.room -= length - min
    return made
  }
}

export const isDeep = ({ depth }: Run) => depth >= DEEP

export function deeper<T>(run: Run, body: () => T): T {
  run.depth += 1
  try {
    return body()
  } finally {
    run.depth -= 1
  }
}

export function listOf(run: Run, count: number, draw: (run: Run, index: number) => unknown): unknown[] {
  run.room -= count
  return deeper(run, () => Array.from({ length: count }, (_, index) => draw(run, index)))
}

/** How many elements an array gets: a few, more if they are not nested, and none deep down. */
export function drawCount(run: Run, min: number, max: number): number {
  if (isDeep(run)) return min
  const most = Math.max(min, Math.min(max, run.room, run.depth < 2 ? 64 : 6))
  if (run.random.chance(0.04)) return run.random.pick([min, most])
  return min + smallUpTo(run.random, Math.min(most - min, run.random.chance(0.1) ? most : 8))
}

export function drawJson(run: Run): unknown {
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

export function merge(left: unknown, right: unknown): unknown {
  const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null
  return isObject(left) && isObject(right) && !Array.isArray(left) ? { ...left, ...right } : right
}
