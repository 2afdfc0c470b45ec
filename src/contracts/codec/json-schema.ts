/** Decides whether JSON can hold everything that a schema admits, for types that cross as JSON. Only compile.ts calls it. */
import type { z } from 'zod/v4'
import { formatPath, HookringError } from '../errors.js'
import { layoutHints } from '../types.js'

type Schema = z.core.$ZodType
type Path = readonly (string | number)[]
type Def = z.core.$ZodTypes['_zod']['def']

/**
 * Returns if JSON can hold all of it.
 *
 * @throws HookringError CONTRACT_UNENCODABLE, with the path to the first part that JSON would lose or change
 */
export function checkJsonHolds(schema: Schema, path: Path, what: string): void {
  const lost = findLost(schema, path, new Set())
  if (lost === null) return
  const message = `${formatPath(lost.path)}: ${what} crosses as JSON, which cannot hold ${lost.type}; use z.object(), z.discriminatedUnion() or an array of one of them`
  throw new HookringError('CONTRACT_UNENCODABLE', message, { path: lost.path })
}

function findLost(schema: Schema, path: Path, seen: Set<Schema>): { path: Path; type: string } | null {
  if (seen.has(schema)) return null
  seen.add(schema)
  const def = schema._zod.def as Def
  const hint = layoutHints.get(schema)
  if (hint !== undefined) return { path, type: `${hint.kind}()` }
  if ('coerce' in def && def.coerce === true) return { path, type: 'a coercion' }
  const into = (parts: readonly (readonly [string | number, Schema | null | undefined])[]) => {
    for (const [key, part] of parts) {
      const lost = part ? findLost(part, [...path, key], seen) : null
      if (lost !== null) return lost
    }
    return null
  }
  switch (def.type) {
    case 'string':
    case 'number':
    case 'boolean':
    case 'null':
    case 'any':
    case 'unknown':
    case 'never':
    case 'template_literal':
      return null
    case 'enum':
    case 'literal': {
      const odd = [...(schema._zod.values ?? [])].find(
        (value) => typeof value === 'bigint' || typeof value === 'symbol' || Number.isNaN(value),
      )
      return odd === undefined ? null : { path, type: `a literal ${typeof odd}` }
    }
    case 'optional':
    case 'nullable':
    case 'default':
    case 'prefault':
    case 'nonoptional':
    case 'readonly':
      return findLost(def.innerType, path, seen)
    case 'lazy':
      return findLost(def.getter(), path, seen)
    case 'array':
      return into([['element', def.element]])
    case 'object':
      return into([...Object.entries(def.shape), ['catchall', def.catchall]])
    case 'record':
      return into([['value', def.valueType]])
    case 'tuple':
      return into([...def.items.map((item, index) => [index, item] as const), ['rest', def.rest]])
    case 'union':
      return into(
        def.options
          .filter(({ _zod }) => _zod.def.type !== 'undefined')
          .map((option, index) => [index, option] as const),
      )
    case 'intersection':
      return findLost(def.left, path, seen) ?? findLost(def.right, path, seen)
    default:
      return { path, type: def.type === 'pipe' ? 'a transform, codec or pipe' : `z.${def.type}()` }
  }
}
