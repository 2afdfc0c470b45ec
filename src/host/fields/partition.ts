/**
 * Partitions: calls whose events agree in a field go to the same lane, in their order. Compiled when a plugin is
 * registered; the compiled function runs once per call, on the host's thread.
 */
import { HookringError } from '../../contracts/errors.js'
import { compileFieldReader, type EventShape, findField, shapesWithout, unknownField } from './event-field.js'
import { hashKey } from './hash.js'

/**
 * Compiles `partitionBy`: the hash of the field that equal keys share. The compiled function never throws.
 *
 * @throws HookringError OPTIONS_INVALID when a hookpoint's event has no such field, or one that cannot be a key.
 */
export function compilePartition(path: string, shapes: readonly EventShape[]): (event: unknown) => number {
  let fallback: unknown
  for (const shape of shapes) {
    const facts = findField(shape.plan, path)
    if (facts === null) throw unknownField('partitionBy', path, shapesWithout(path, shapes))
    if (facts.types.has('compound')) {
      throw new HookringError(
        'OPTIONS_INVALID',
        `partitionBy: ${path} of ${shape.hookpoint} is an object or array; name one of its fields instead`,
        { path: ['partitionBy'], hookpoint: shape.hookpoint },
      )
    }
    fallback ??= facts.whenMissing.find((value) => value !== null)
  }
  const read = compileFieldReader(path)
  return (event) => {
    let value: unknown
    try {
      value = read(event)
    } catch {
      // Encoding reads the event next, and says by name what is wrong with it.
      return hashKey(null)
    }
    // A field left out has the key of its default: the plugin sees no difference.
    return hashKey(value === undefined ? fallback : value)
  }
}

/** Which of `seats` seats a hash has, from 0; every seat gets an equal share of the hashes. */
export function seatOf(hash: number, seats: number): number {
  return Math.floor((hash * seats) / 2 ** 32)
}
