/** Threads of lanes: spares, and what is left when threads end. */
import { expect, it, onTestFinished } from 'vitest'
import type { ChildProfile } from '../../../dist/contracts/process.js'
import { LaneThreads } from '../../../dist/host/lanes/lane-threads.js'
import type { WorkerProfile } from '../../../dist/host/model/bulkhead.js'
import { Compiler } from '../../../dist/host/sources/compiler/index.js'
import { until } from '../../support/lab.js'
import { noSandbox, orphans, pluginProcesses } from '../../support/processes.js'

const PROFILE: WorkerProfile = {
  memoryMb: 64,
  env: {},
  execArgv: [],
  loadsTypeScript: false,
  reportsImports: false,
  isHardened: false,
  child: null,
}

/** Threads with one spare to keep, and how many threads have been started. */
function watched() {
  const threads = new LaneThreads({ spares: 1, contract: 'delivery@1', compiler: new Compiler() })
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

it.each([
  ['one more spare is kept once the successor of a lost lane had to wait for one', true, [4, 5]],
  ['no more are kept for lanes that are new', false, [3, 4]],
] as const)('%s', async (_what, isReplacement, [then, last]) => {
  const { take, started, count } = watched()
  await take(false)
  await started(2)
  // The spare is still booting.
  await take(isReplacement)
  await started(then)
  await take(isReplacement)
  await started(last)
  expect(count()).toBe(last)
})

it.skipIf(noSandbox !== null)('a thread that is let go of while its child boots leaves no process behind', async () => {
  const before = new Set(orphans())
  const threads = new LaneThreads({ spares: 0, contract: 'delivery@1', compiler: new Compiler() })
  const child: ChildProfile = {
    runtimes: ['module'],
    libraries: [],
    memoryMb: 64,
    hangMs: 1_000,
    sandbox: 'required',
    env: {},
    searchPath: process.env.PATH ?? '',
  }
  for (let round = 0; round < 10; round++) {
    const thread = await threads.take({ ...PROFILE, child }, false)
    expect(await thread.terminate(5_000)).toBe(true)
  }
  await threads.close()
  expect(pluginProcesses()).toEqual([])
  // What bubblewrap forked dies a moment after it.
  await until('no orphan to be left', () => orphans().every((pid) => before.has(pid)))
})
