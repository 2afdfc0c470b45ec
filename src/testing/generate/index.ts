/**
 * Generates events: endless, valid, and the same for the same seed. For tests, `hookring bench` and `hookring check`. It
 * runs wherever it is called and touches nothing else.
 */
import type { Contract, EventInput, Hookpoints } from '../../contracts/contract.js'
import { HookringError } from '../../contracts/errors.js'
import { plausibleDelivery } from './delivery.js'
import { hashOf, Random } from './random.js'
import { compileSource } from './schema.js'
import type { Schema } from './source.js'

export interface GenerateOptions {
  /** Any number; default 1. The same seed gives the same events. */
  seed?: number | undefined
  /** Index of the first event, from 0. Event 1234 of a seed is generated without those before it. */
  from?: number | undefined
}

/**
 * Returns a function that returns the next event for a hookpoint. Most events are like those of real traffic; now and
 * then comes the emptiest, the longest, the smallest or the largest that the schema allows. It follows types, bounds,
 * lengths, formats and patterns. For whatever else a schema checks (`.refine()`), it draws again, a bounded number of
 * times.
 *
 * @throws HookringError HOOKPOINT_UNKNOWN; EVENT_NOT_GENERATED, also from the returned function, naming the field whose
 * checks no generated value passes
 */
export function generateEvents<Points extends Hookpoints, Name extends keyof Points & string>(
  contract: Contract<Points>,
  hookpoint: Name,
  options: GenerateOptions = {},
): () => EventInput<Points[Name]> {
  const point = Object.hasOwn(contract.hookpoints, hookpoint) ? contract.hookpoints[hookpoint] : undefined
  if (point === undefined) {
    const known = Object.keys(contract.hookpoints).join(', ')
    throw new HookringError(
      'HOOKPOINT_UNKNOWN',
      `${contract.id} has no hookpoint ${String(hookpoint)}; it has ${known}`,
      { hookpoint },
    )
  }
  const { seed = 1, from = 0 } = options
  const draw = compileSource(point.event as Schema, [hookpoint])
  const drawPlausible = plausibleDelivery(point.event as Schema, draw) ?? draw
  const salt = [hashOf(`${contract.id}.${hookpoint}`), hashOf(String(seed))]
  let index = from
  return () => {
    const event = drawPlausible(new Random(...salt.map((word) => word ^ Math.imul(index, 0x9e37_79b1)), index), index)
    index += 1
    return event as EventInput<Points[Name]>
  }
}
