/** Sources of values, and how they are asked again until a value passes. For the event generator. Pure. */
import type { z } from 'zod/v4'
import { checkOf } from '../../contracts/codec/compile-rules.js'
import { formatPath, HookringError } from '../../contracts/errors.js'
import { type Draw, isDeep, type Run } from './draws.js'

export type Schema = z.core.$ZodType
export type Def = z.core.$ZodTypes['_zod']['def']
export type DefOf<Type extends Def['type']> = Extract<Def, { type: Type }>
export type Path = readonly (string | number)[]

/** How often a value is drawn before its schema is given up. */
const MAX_DRAWS = 1000

/** A source of values. `height` is how many levels its smallest value has; Infinity while that is not known. */
export interface Source {
  /** Whether its parts are known. False while they are being compiled. */
  isReady: boolean
  height: number
  draw(run: Run): unknown
  /** Computes `height` from the heights of the parts. */
  measure(): number
}

/** What a schema draws, by its type. */
export interface Shape {
  readonly draw: Draw
  measure(): number
  /** The schema checks more than was read from it here. */
  readonly mustCheck: boolean
}

export function optionally(inner: Source, absent: null | undefined): Draw {
  return (run) => (run.random.chance(isDeep(run) ? 0.9 : 0.25) ? absent : inner.draw(run))
}

export const UNDEFINED: Source = { isReady: true, height: 0, draw: () => undefined, measure: () => 0 }

/** The same source, for a place where the layout may have to use JSON. */
export function asJson(source: Source): Source {
  return {
    get isReady() {
      return source.isReady
    },
    get height() {
      return source.height
    },
    draw(run) {
      const { isJson } = run
      run.isJson = true
      try {
        return source.draw(run)
      } finally {
        run.isJson = isJson
      }
    },
    measure: () => source.measure(),
  }
}

/** An element of a list: not undefined where there is no place for it. */
export function drawElement(run: Run, source: Source): unknown {
  return run.isJson ? drawPresent(run, source) : source.draw(run)
}

export function drawPresent(run: Run, source: Source): unknown {
  let value = source.draw(run)
  for (let tries = 1; value === undefined && tries < MAX_DRAWS; tries++) value = source.draw(run)
  return value
}

export function checkedDraw(schema: Schema, path: Path, draw: Draw): Draw {
  const check = checkOf(schema)
  return untilSuch(path, draw, (value) => check(value).ok)
}

export function untilSuch(path: Path, draw: Draw, isRight: (value: unknown) => boolean): Draw {
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

export function cannot(path: Path, why: string, cause?: unknown): HookringError {
  return new HookringError(
    'EVENT_NOT_GENERATED',
    `${formatPath(path)}: no valid value could be made up, ${why}; use events of your own, or a recording of real ones`,
    { path, cause },
  )
}

export const highest = (sources: readonly Source[]) => sources.reduce((most, { height }) => Math.max(most, height), 0)
