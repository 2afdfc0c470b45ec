/** The clock that all threads share, including those that start while no processor is free. */
import { Worker } from 'node:worker_threads'
import { expect, it } from 'vitest'
import { monotonicMs } from '../../dist/ring/clock.js'

const SOURCE = `
const { parentPort, workerData } = require('node:worker_threads')
import(workerData).then(({ monotonicMs }) => {
  const send = () => parentPort.postMessage(monotonicMs())
  parentPort.on('message', send)
  send()
})`

it('goes forward, and measures the time that has passed', async () => {
  const readings = Array.from({ length: 1_000 }, monotonicMs)
  for (const [index, reading] of readings.entries()) expect(reading).toBeGreaterThanOrEqual(readings[index - 1] ?? 0)
  const earliest = performance.now()
  const before = monotonicMs()
  const from = performance.now()
  while (performance.now() - from < 20);
  const to = performance.now()
  const after = monotonicMs()
  const latest = performance.now()
  expect(after - before).toBeGreaterThanOrEqual(to - from - 0.1)
  expect(after - before).toBeLessThanOrEqual(latest - earliest + 0.1)
})

it('reads the same in threads that start at the same time', async () => {
  const workerData = new URL('../../dist/ring/clock.js', import.meta.url).href
  const workers = Array.from({ length: 12 }, () => new Worker(SOURCE, { eval: true, workerData }))
  try {
    await Promise.all(workers.map((worker) => new Promise((resolve) => worker.once('message', resolve))))
    for (const worker of workers) {
      let tightestMs = Number.POSITIVE_INFINITY
      let apartMs = 0
      for (let round = 0; round < 20; round += 1) {
        const asked = monotonicMs()
        const told = await new Promise<number>((resolve) => {
          worker.once('message', resolve)
          worker.postMessage('now')
        })
        const heard = monotonicMs()
        if (heard - asked >= tightestMs) continue
        tightestMs = heard - asked
        // Outside of the time between question and answer, by so much.
        apartMs = Math.max(asked - told, told - heard, 0)
      }
      expect(apartMs).toBeLessThan(0.2)
    }
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()))
  }
})
