/**
 * Draws numbers, bigints and dates between bounds: mostly small ones, as counts and sizes are, and now and then the
 * bounds themselves. For the event generator. Pure.
 */
import type { PlanNodeOf } from '../../contracts/codec/plan.js'
import type { Random } from './random.js'
import { drawRecentMs } from './text.js'

type IntegerNode = PlanNodeOf<'u8' | 'u16' | 'u32' | 'i32' | 'int'>
type DrawNumber = (random: Random) => number

/** The share of draws that take a bound or its neighbour. */
const BOUNDARY_SHARE = 0.05
/** In a range of up to this many values, all are equally likely. */
const NARROW = 1000
/** Usual numbers are below 2 to the power of this. */
const USUAL_BITS = 20

/** @param step the schema wants a multiple of this; null: any number */
export function drawerOfNumbers(node: IntegerNode | PlanNodeOf<'f64'>, step: number | null): DrawNumber {
  const { min, max } = node
  const unit = step ?? (node.kind === 'f64' ? 0.01 : 1)
  const isWhole = node.kind !== 'f64' || Number.isInteger(unit)
  const origin = Math.ceil(Math.min(Math.max(0, min), max) / unit)
  const at = (steps: number) => (isWhole ? (origin + steps) * unit : Number(((origin + steps) * unit).toPrecision(15)))
  const boundaries = [min, max, 0, 1, -1, ...(isWhole ? [min + 1, max - 1] : [0.1, -0.5])].filter(
    (value) => value >= min && value <= max && (step === null || value % step === 0),
  )
  const fits = (value: number) => value >= min && value <= max
  return (random) => {
    if (boundaries.length > 0 && random.chance(BOUNDARY_SHARE)) return random.pick(boundaries)
    if (max - min <= NARROW * unit) {
      const value = at(Math.floor(random.next() * (max / unit - origin + 1)))
      return fits(value) ? value : min + random.next() * (max - min)
    }
    const distance = Math.floor(2 ** (random.next() * USUAL_BITS)) - 1
    const value = at(random.chance(0.1) ? -distance : distance)
    if (fits(value)) return value
    const other = at(distance === 0 ? 0 : -distance)
    return fits(other) ? other : at(0) <= max ? at(0) : min
  }
}

export function drawerOfBigints(min: bigint, max: bigint, step: bigint | null): (random: Random) => bigint {
  const unit = step ?? 1n
  const nearest = 0n < min ? min : 0n > max ? max : 0n
  const origin = nearest % unit === 0n ? nearest : nearest + (unit - (((nearest % unit) + unit) % unit))
  const exact = 2n ** 53n
  const boundaries = [min, max, 0n, 1n, min + 1n, max - 1n, exact - 1n, exact + 1n, 2n ** 32n].filter(
    (value) => value >= min && value <= max && value % unit === 0n,
  )
  return (random) => {
    if (boundaries.length > 0 && random.chance(BOUNDARY_SHARE)) return random.pick(boundaries)
    const distance = BigInt(Math.floor(2 ** (random.next() * USUAL_BITS)) - 1) * unit
    for (const value of [origin + distance, origin - distance]) if (value >= min && value <= max) return value
    return origin
  }
}

export function drawerOfDates({ min, max }: PlanNodeOf<'date'>): (random: Random) => Date {
  const boundaries = [min, max, 0, Date.UTC(2000, 1, 29)].filter((ms) => ms >= min && ms <= max)
  return (random) => {
    if (boundaries.length > 0 && random.chance(BOUNDARY_SHARE)) return new Date(random.pick(boundaries))
    const recent = drawRecentMs(random)
    if (recent >= min && recent <= max) return new Date(recent)
    const nearest = recent < min ? min : max
    const other = recent < min ? Math.min(max, min + 1e9) : Math.max(min, max - 1e9)
    return new Date(Math.floor(nearest + random.next() * (other - nearest)))
  }
}
