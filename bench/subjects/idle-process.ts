/** Case `idle`: one process that opens an engine (or none), uses it for a moment, and measures its own CPU time at rest. */
import { setTimeout as sleep } from 'node:timers/promises'
import { answerRequests, runRound } from '../instruments.js'

export interface IdleOptions {
  readonly wait: 'adaptive' | 'park' | 'spin' | 'no engine'
  readonly seconds: number
}

/** CPU time of all threads, in milliseconds per second. */
answerRequests(async ({ wait, seconds }: IdleOptions): Promise<number> => {
  if (wait !== 'no engine') {
    const { open } = await import('../contenders/hookring.js')
    await runRound(await open({ wait }), { kind: 'closed', inFlight: 16 }, 200)
  }
  await sleep(1500) // compilation and garbage collection in the background come to rest
  const before = process.cpuUsage()
  await sleep(seconds * 1000)
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1000 / seconds
})
