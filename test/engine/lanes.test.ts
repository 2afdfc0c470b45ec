/** The lanes of a bulkhead: who gets which call. */
import { describe, expect, it, onTestFinished } from 'vitest'
import { actor, createTrail, openLab, readTrail, until } from '../support/lab.js'

describe('lanes of a bulkhead', () => {
  /** For each call the thread that ran it, in the order of the runs. */
  const placesOf = (trail: SharedArrayBuffer) =>
    readTrail(trail)
      .map((line) => line.split(' '))
      .filter((words) => words.length === 3)
      .map(([, id, lane]) => ({ id: Number(id), lane: lane as string }))

  it('share out calls by what they have in flight', async () => {
    const trail = createTrail()
    const { hooks } = await openLab({ plugins: [actor('a', { workers: 3, timeoutMs: 5_000, config: { trail } })] })
    // One lane is kept busy; what follows one at a time stays with one of the other two, which is awake.
    const busy = hooks.onGate({ id: 0, acts: { a: 'blocks 150' } })
    await until('it to run', () => readTrail(trail).includes('a 0'))
    for (let id = 1; id <= 20; id += 1) await hooks.onGate({ id, acts: { a: 'context lane' } })
    expect(new Set(placesOf(trail).map(({ lane }) => lane)).size).toBe(1)
    // Two at a time need both.
    await Promise.all([21, 22].map((id) => hooks.onGate({ id, acts: { a: 'context lane' } })))
    expect(new Set(placesOf(trail).map(({ lane }) => lane)).size).toBe(2)
    await busy
    await Promise.all(
      [1, 2, 3].map((index) => hooks.onGate({ id: 100 + index, acts: { a: 'blocks 60 context lane' } })),
    )
    expect(
      new Set(
        placesOf(trail)
          .filter(({ id }) => id > 100)
          .map(({ lane }) => lane),
      ).size,
    ).toBe(3)
  })

  it('with partitionBy keep equal keys on one lane, in order', async () => {
    const trail = createTrail()
    const { hooks, engine } = await openLab({
      plugins: [actor('a', { workers: 3, partitionBy: 'key', config: { trail } })],
    })
    const keyOf = (id: number) => `key-${id % 7}`
    for (let id = 0; id < 400; id += 1) {
      if (id % 3 === 0) hooks.onObserve({ id, key: keyOf(id), acts: { a: 'context lane' } })
      else void hooks.onGate({ id, key: keyOf(id), acts: { a: 'context lane' } })
      if (id % 50 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    await hooks.onGate({ id: 400, key: keyOf(400), acts: { a: 'context lane' } })
    await engine.flush()
    await until('all to run', () => placesOf(trail).length === 401)
    checkPartition(placesOf(trail), keyOf)
  })

  it('with partitionBy keep equal keys in order when a lane is replaced', async () => {
    const trail = createTrail()
    const { hooks, heard, said } = await openLab({
      plugins: [actor('a', { workers: 2, partitionBy: 'key', timeoutMs: 5_000, config: { trail } })],
    })
    const keyOf = (id: number) => `key-${id % 5}`
    const verdicts = Array.from({ length: 300 }, (_, id) =>
      hooks.onGate({ id, key: keyOf(id), acts: { a: id === 100 ? 'exits 1' : 'context lane' } }),
    )
    const kinds = (await Promise.all(verdicts)).map(({ kind }) => kind)
    await heard('laneReplaced')
    expect(said.laneReplaced).toHaveLength(1)
    expect(kinds.map((kind, id) => [id, kind]).filter(([, kind]) => kind !== 'continue')).toEqual([[100, 'reject']])
    const places = placesOf(trail)
    expect(places.map(({ id }) => id).sort((a, b) => a - b)).toEqual(
      Array.from({ length: 300 }, (_, id) => id).filter((id) => id !== 100),
    )
    const crashed = keyOf(100)
    checkPartition(
      places.filter(({ id }) => keyOf(id) !== crashed || id < 100),
      keyOf,
      { mayMove: true },
    )
    checkPartition(
      places.filter(({ id }) => keyOf(id) === crashed && id > 100),
      keyOf,
    )
  })

  it('hand their memory down, so that replacing them makes no garbage', async () => {
    const made = countRings()
    const { hooks, heard } = await openLab({
      spares: 1,
      hangMs: 0,
      plugins: [actor('looper', { workers: 1, timeoutMs: 40 })],
    })
    await until('the second memory', () => made() === 2)
    for (let round = 1; round <= 6; round += 1) {
      expect(await hooks.onGate({ acts: { looper: 'loops' } })).toMatchObject({ failure: { plugin: 'looper' } })
      await heard('laneReplaced', round)
      expect(await hooks.onGate({ acts: { looper: 'rejects seen' } })).toMatchObject({ reason: 'seen' })
    }
    // One more where a thread took its time to end.
    expect(made()).toBeLessThanOrEqual(3)
  })

  function checkPartition(
    places: { id: number; lane: string }[],
    keyOf: (id: number) => string,
    { mayMove = false } = {},
  ): void {
    const byKey = groupBy(places, ({ id }) => keyOf(id))
    for (const [key, own] of byKey) {
      const ids = own.map(({ id }) => id)
      expect(ids, key).toEqual([...ids].sort((a, b) => a - b))
      if (!mayMove) expect(new Set(own.map(({ lane }) => lane)).size, key).toBe(1)
    }
  }
})

function groupBy<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>()
  for (const item of items) groups.set(keyOf(item), [...(groups.get(keyOf(item)) ?? []), item])
  return groups
}

/** How many buffers as large as a lane's have been made since. */
function countRings(): () => number {
  const { SharedArrayBuffer: original } = globalThis
  let made = 0
  globalThis.SharedArrayBuffer = class extends original {
    constructor(byteLength: number) {
      super(byteLength)
      if (byteLength > 1_000_000) made += 1
    }
  } as SharedArrayBufferConstructor
  onTestFinished(() => {
    globalThis.SharedArrayBuffer = original
  })
  return () => made
}
