/** Lines: asked about some at once, settled in the order in which they came. */
import { expect, it } from 'vitest'
import { Line } from '../../dist/primitives/line.js'

function open(atOnce: number, schedule?: (run: () => void) => void) {
  const answers = new Map<number, () => void>()
  const settled: number[] = []
  let timesEmpty = 0
  const line = new Line<number, string>({
    atOnce,
    ask: (entry) => new Promise((resolve) => answers.set(entry, () => resolve(`of ${entry}`))),
    settle(entry, outcome) {
      expect(outcome).toBe(`of ${entry}`)
      settled.push(entry)
      if (entry === 100) line.push(101)
    },
    onEmpty: () => {
      timesEmpty += 1
    },
    ...(schedule && { schedule }),
  })
  return {
    line,
    settled,
    asked: () => [...answers.keys()],
    timesEmpty: () => timesEmpty,
    async answer(...entries: number[]) {
      for (const entry of entries) answers.get(entry)?.()
      await new Promise(setImmediate)
    },
  }
}

it('settles in order, whatever the order of the answers', async () => {
  const { line, settled, answer, timesEmpty } = open(8)
  for (const entry of [1, 2, 3]) line.push(entry)
  await answer(3, 2)
  expect(settled).toEqual([])
  expect(line.length).toBe(3)
  await answer(1)
  expect(settled).toEqual([1, 2, 3])
  expect(line.length).toBe(0)
  expect(timesEmpty()).toBe(1)
})

it('asks about so many at once, and about the next when one is settled, not answered', async () => {
  const { line, settled, asked, answer } = open(2)
  for (const entry of [1, 2, 3, 4]) line.push(entry)
  expect(asked()).toEqual([1, 2])
  await answer(2)
  expect(asked()).toEqual([1, 2])
  await answer(1)
  expect(asked()).toEqual([1, 2, 3, 4])
  await answer(3, 4)
  expect(settled).toEqual([1, 2, 3, 4])
})

it('takes entries while it settles', async () => {
  const { line, settled, answer } = open(2)
  line.push(100)
  await answer(100)
  expect(line.length).toBe(1)
  await answer(101)
  expect(settled).toEqual([100, 101])
})

it('settles each entry when it is scheduled, and is not empty before', async () => {
  const scheduled: (() => void)[] = []
  const { line, settled, answer, timesEmpty } = open(2, (run) => scheduled.push(run))
  for (const entry of [1, 2]) line.push(entry)
  await answer(2, 1)
  expect(scheduled).toHaveLength(2)
  expect([settled, line.length]).toEqual([[], 2])
  scheduled[0]!()
  expect([settled, line.length, timesEmpty()]).toEqual([[1], 1, 0])
  scheduled[1]!()
  expect([settled, line.length, timesEmpty()]).toEqual([[1, 2], 0, 1])
})
