import { expect, it, onTestFinished } from 'vitest'
import { createLaneThreads, type WorkerProfile } from '../../dist/host/lane-threads.js'
import { until } from '../support/lab.js'

const PROFILE: WorkerProfile = { memoryMb: 64, env: {}, isHardened: false, child: null }

/** Threads with one spare to keep, and how many threads have been started. */
function watched() {
  const threads = createLaneThreads({ spares: 1 })
  let started = 0
  const count = () => {
    started += 1
  }
  process.on('worker', count)
  onTestFinished(async () => {
    process.off('worker', count)
    await threads.close()
  })
  const take = async (isReplacement: boolean) => {
    const thread = await threads.take(PROFILE, isReplacement)
    onTestFinished(async () => void (await thread.terminate(1_000)))
  }
  return {
    take,
    started: (wanted: number) => until(`${wanted} threads`, () => started >= wanted),
    count: () => started,
  }
}

it('one more spare is kept once the successor of a lost lane had to wait for one', async () => {
  const { take, started, count } = watched()
  await take(false)
  await started(2)
  // The spare is still booting.
  await take(true)
  await started(4)
  await take(true)
  await started(5)
  expect(count()).toBe(5)
})

it('no more are kept for lanes that are new', async () => {
  const { take, started, count } = watched()
  await take(false)
  await started(2)
  await take(false)
  await started(3)
  await take(false)
  await started(4)
  expect(count()).toBe(4)
})
