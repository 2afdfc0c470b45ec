/**
 * Tells the story of bench/rpc in a process of its own, which telling.ts starts as the leader of a process group: ending
 * the group ends the servers and the client with it, a server that loops for ever included.
 */

import { startProcess } from '../../bench/instruments.js'
import type { ModeName } from '../../bench/rpc/modes.js'
import { type Slice, tellStory } from '../../bench/rpc/story.js'
import { type DemoRequest, slicesToCome } from './plan.js'
import type { ToldSlice } from './rows.js'
import type { StrangerReport } from './stranger.js'

export type StoryMessage =
  | { readonly kind: 'slice'; readonly slice: ToldSlice }
  | { readonly kind: 'unavailable'; readonly mode: ModeName; readonly why: string }
  | { readonly kind: 'stranger'; readonly report: StrangerReport }
  | { readonly kind: 'told' }
  | { readonly kind: 'broken'; readonly why: string }

const STRANGER_TIMEOUT_MS = 20_000

const request = JSON.parse(process.argv[2] as string) as DemoRequest

process.once('disconnect', endGroup)

try {
  await tell()
  await letStrangerIn()
  await send({ kind: 'told' })
} catch (error) {
  await send({ kind: 'broken', why: error instanceof Error ? error.message : String(error) })
}
process.off('disconnect', endGroup)
process.disconnect?.()

async function tell(): Promise<void> {
  const slices: Slice[] = []
  const unavailable: ModeName[] = []
  const story = tellStory(request.modes, request.plan, (mode, why) => {
    unavailable.push(mode)
    void send({ kind: 'unavailable', mode, why })
  })
  for await (const slice of story) {
    slices.push(slice)
    await send({ kind: 'slice', slice })
    // When the last slice was deadly, leaving now saves starting a server that nobody will ask.
    if (slicesToCome(request, slices, unavailable) === 0) break
  }
}

async function letStrangerIn(): Promise<void> {
  const stranger = startProcess(new URL('./stranger-process.js', import.meta.url))
  try {
    await send({ kind: 'stranger', report: await stranger.ask<StrangerReport>({}, STRANGER_TIMEOUT_MS) })
  } finally {
    await stranger.end()
  }
}

/** The demo is gone: nobody listens, and a server that loops for ever would not notice. */
function endGroup(): void {
  if (process.platform !== 'win32') process.kill(-process.pid, 'SIGKILL')
  process.exit(1)
}

function send(message: StoryMessage): Promise<void> {
  return new Promise((resolve) => {
    // A demo that is gone says so by 'disconnect'; the failed send adds nothing.
    process.send?.(message, undefined, undefined, () => resolve())
  })
}
