/** The allocator, compared with a model that only knows which units are taken. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { blockBytes, Extents, SMALLEST_EXTENT_BYTES } from '../../dist/ring/extents.js'

const BASE_BYTE = 12_344
const LARGEST_BYTES = 8 * 1024
const ARENA_BYTES = 4 * LARGEST_BYTES
const UNITS = ARENA_BYTES / SMALLEST_EXTENT_BYTES
const SEED = process.env.SEED === undefined ? Date.now() & 0x7fff_ffff : Number(process.env.SEED)

const arena = () => new Extents({ baseByte: BASE_BYTE, arenaBytes: ARENA_BYTES, largestBytes: LARGEST_BYTES })

interface Taken {
  readonly at: number
  readonly bytes: number
}

/** Takes bytes, or gives back one of those taken. */
const actions = fc.array(
  fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({
        take: fc.oneof(
          fc.integer({ min: 1, max: LARGEST_BYTES }),
          fc.constantFrom(1, 512, 513, 1024, 4096, LARGEST_BYTES),
        ),
      }),
    },
    { weight: 2, arbitrary: fc.record({ give: fc.nat() }) },
  ),
  { minLength: 1, maxLength: 200 },
)

describe('extents', () => {
  it(`never overlap, and are refused only when none is free (seed ${SEED})`, () => {
    fc.assert(
      fc.property(actions, (steps) => {
        const extents = arena()
        const taken: Taken[] = []
        const units = new Uint8Array(UNITS)
        for (const step of steps) {
          if ('take' in step) take(extents, step.take, taken, units)
          else if (taken.length > 0) give(extents, taken.splice(step.give % taken.length, 1)[0] as Taken, units)
        }
        expect(extents.usedBytes).toBe(taken.reduce((sum, { bytes }) => sum + blockBytes(bytes), 0))
        // Whatever was taken and given back, in whatever order: at the end the arena is whole again.
        for (const each of taken) give(extents, each, units)
        expect(extents.usedBytes).toBe(0)
        const whole = Array.from({ length: ARENA_BYTES / LARGEST_BYTES }, () => extents.take(LARGEST_BYTES))
        expect([...whole].sort((a, b) => a - b)).toEqual(whole.map((_, index) => BASE_BYTE + index * LARGEST_BYTES))
        expect(extents.take(1)).toBe(-1)
      }),
      { seed: SEED, numRuns: 400 },
    )
  })

  it('come in powers of two from the smallest', () => {
    expect([1, 128, 129, 256, 257, 2 ** 20, 2 ** 20 + 1].map(blockBytes)).toEqual([
      128,
      128,
      256,
      256,
      512,
      2 ** 20,
      2 ** 21,
    ])
  })

  it('that are larger than the largest are refused', () => {
    expect(arena().take(LARGEST_BYTES + 1)).toBe(-1)
  })

  it('are used again, the one given back last first', () => {
    const extents = arena()
    const first = extents.take(100)
    const second = extents.take(100)
    extents.give(first, 100)
    extents.give(second, 100)
    expect(extents.take(100)).toBe(second)
    expect(extents.take(100)).toBe(first)
  })
})

function take(extents: ReturnType<typeof arena>, bytes: number, taken: Taken[], units: Uint8Array): void {
  const size = blockBytes(bytes) / SMALLEST_EXTENT_BYTES
  const at = extents.take(bytes)
  if (at === -1) {
    // Blocks begin at multiples of their size: is one of them free?
    for (let unit = 0; unit < UNITS; unit += size) {
      if (units.subarray(unit, unit + size).every((isTaken) => isTaken === 0))
        throw new Error(`${bytes} bytes were refused, block ${unit} is free`)
    }
    return
  }
  const unit = (at - BASE_BYTE) / SMALLEST_EXTENT_BYTES
  expect(unit % size).toBe(0)
  expect(unit + size).toBeLessThanOrEqual(UNITS)
  for (let own = unit; own < unit + size; own += 1) {
    if (units[own] !== 0) throw new Error(`unit ${own} is handed out twice`)
    units[own] = 1
  }
  taken.push({ at, bytes })
}

function give(extents: ReturnType<typeof arena>, { at, bytes }: Taken, units: Uint8Array): void {
  extents.give(at, bytes)
  const unit = (at - BASE_BYTE) / SMALLEST_EXTENT_BYTES
  units.fill(0, unit, unit + blockBytes(bytes) / SMALLEST_EXTENT_BYTES)
}
