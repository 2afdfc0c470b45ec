/**
 * The story of case `rpc`: servers in several modes, one client, and hooks that misbehave, slice after slice, every mode
 * in turn. Yields each slice as it ends, so that the bench can take medians and the demo can tell it live. Called on the
 * main thread of either.
 */
import { type AskedProcess, startProcess } from '../instruments.js'
import type { ClientRequest } from './client-process.js'
import type { HookName } from './misbehave.js'
import type { ModeName } from './modes.js'
import type { SliceFigures } from './rates.js'
import type { ServerFigures, ServerRequest } from './server-process.js'

/**
 * For each hook, how many slices of each mode, and how long. In this order, so the rougher hooks come last: what they
 * leave behind, new lanes and code that must be compiled anew, would pass for the effect of the others.
 */
export type StoryPlan = Readonly<Record<HookName, HookPlan>>

export interface HookPlan {
  readonly slices: number
  readonly sliceMs: number
  /** Modes whose latencies are compared: they have so many slices in place of `slices`. */
  readonly compared?: { readonly modes: readonly ModeName[]; readonly slices: number }
}

export interface Slice extends SliceFigures {
  readonly mode: ModeName
  readonly hook: HookName
  /** Of the server; undefined when it did not live to tell. */
  readonly loopDelayP99Ms: number | undefined
  /** Undefined where there are no lanes, or no server to tell. */
  readonly lanesReplaced?: number
  /** Why the server died in this slice, if it did. This mode has no more slices with this hook. */
  readonly died: string | undefined
}

interface RunningServer {
  readonly process: AskedProcess
  readonly name: string
}

/**
 * Room for the garbage of several seconds of gRPC, in MB, alike in all modes. With Node.js's defaults a server collects in
 * every second slice, for 2 to 7 ms: that would decide about the 99th percentile, whatever the hooks do. How long depends on
 * which streams the HTTP/2 session happened to hold when it rebuilt its table of them: dead tables in old memory keep
 * those streams alive.
 */
const SERVER_OPTIONS = ['--min-semi-space-size=64', '--max-semi-space-size=64']
/**
 * The client's own collections must not pass for the server's latency: it has room, in MB, for the garbage of a slice,
 * which it collects between slices, and for all that outlives those collections in a quick run.
 */
const CLIENT_OPTIONS = [
  '--expose-gc',
  '--min-semi-space-size=128',
  '--max-semi-space-size=128',
  '--initial-old-space-size=512',
]
const START_TIMEOUT_MS = 20_000
/** An event loop that does not turn for so long, with no load on the machine, will not turn again. */
const STANDSTILL_MS = 1_000
/** Beyond the slice: the calls that are still under way, whose deadline is 1.5 s. */
const SLICE_GRACE_MS = 10_000

/** A mode whose server cannot start is left out, and `onUnavailable` hears why. */
export async function* tellStory(
  modes: readonly ModeName[],
  plan: StoryPlan,
  onUnavailable: (mode: ModeName, why: string) => void = () => {},
): AsyncGenerator<Slice, void, undefined> {
  const client = startProcess(new URL('./client-process.js', import.meta.url), CLIENT_OPTIONS)
  const servers = new Map<ModeName, RunningServer>()
  let started = 0

  const start = async (mode: ModeName): Promise<void> => {
    const server = startProcess(new URL('./server-process.js', import.meta.url), SERVER_OPTIONS)
    const name = `${mode}-${++started}`
    try {
      const address = await server.ask<string>({ kind: 'start', mode } satisfies ServerRequest, START_TIMEOUT_MS)
      await client.ask({ kind: 'connect', name, address } satisfies ClientRequest, START_TIMEOUT_MS)
      servers.set(mode, { process: server, name })
    } catch (error) {
      onUnavailable(mode, error instanceof Error ? error.message : String(error))
      await server.end()
    }
  }

  try {
    // One after the other: the client is asked one thing at a time.
    for (const mode of modes) await start(mode)
    for (const server of servers.values()) await warmUp(client, server)

    const hooks = Object.entries(plan) as [HookName, HookPlan][]
    for (const [index, [hook, hookPlan]] of hooks.entries()) {
      const deadly = new Set<ModeName>()
      for (const mode of turnsOf(modes, hookPlan)) {
        const server = servers.get(mode)
        if (server === undefined || deadly.has(mode)) continue
        const slice = await runSlice(client, server, { mode, hook, sliceMs: hookPlan.sliceMs })
        yield slice
        if (slice.died === undefined) continue
        deadly.add(mode)
        await client.ask({ kind: 'disconnect', name: server.name } satisfies ClientRequest, START_TIMEOUT_MS)
        await server.process.end()
        servers.delete(mode)
        if (hooks.slice(index + 1).every(([, later]) => slicesOf(later, mode) === 0)) continue
        await start(mode)
        const next = servers.get(mode)
        if (next !== undefined) await warmUp(client, next)
      }
    }
  } finally {
    await Promise.all([
      client.end(),
      ...[...servers.values()].map(async ({ process }) => {
        await process.ask({ kind: 'stop' } satisfies ServerRequest, 3_000).catch(() => {})
        await process.end()
      }),
    ])
  }
}

/** Every mode once, then every mode that has slices left, and so on: drift hits all alike. */
function* turnsOf(modes: readonly ModeName[], plan: HookPlan): Generator<ModeName> {
  const left = new Map(modes.map((mode) => [mode, slicesOf(plan, mode)]))
  while (left.size > 0) {
    for (const [mode, slices] of left) {
      if (slices > 0) yield mode
      if (slices > 1) left.set(mode, slices - 1)
      else left.delete(mode)
    }
  }
}

function slicesOf({ slices, compared }: HookPlan, mode: ModeName): number {
  return compared?.modes.includes(mode) ? compared.slices : slices
}

/** How many slices a story has at most; a mode that dies has fewer. */
export function countSlices(modes: readonly ModeName[], plan: StoryPlan): number {
  const counts = modes.flatMap((mode) => Object.values(plan).map((round) => slicesOf(round, mode)))
  return counts.reduce((sum, slices) => sum + slices, 0)
}

/** Faster than the story's pace: compilation should be over when it begins. */
async function warmUp(client: AskedProcess, { name }: RunningServer): Promise<void> {
  const request: ClientRequest = { kind: 'slice', name, hook: 'fast', sliceMs: 1200, pace: 8 }
  await client.ask(request, SLICE_GRACE_MS)
}

async function runSlice(
  client: AskedProcess,
  { process, name }: RunningServer,
  { mode, hook, sliceMs }: { mode: ModeName; hook: HookName; sliceMs: number },
): Promise<Slice> {
  let died = await process.ask({ kind: 'begin' } satisfies ServerRequest, STANDSTILL_MS).then(alive, causeOfDeath)
  const figures = await client.ask<SliceFigures>(
    { kind: 'slice', name, hook, sliceMs, pace: 1 } satisfies ClientRequest,
    sliceMs + SLICE_GRACE_MS,
  )
  let ownFigures: ServerFigures | undefined
  if (died === undefined) {
    const asked = process.ask<ServerFigures>({ kind: 'end' } satisfies ServerRequest, STANDSTILL_MS)
    died = await asked.then(alive, causeOfDeath)
    if (died === undefined) ownFigures = await asked
  }
  return { mode, hook, ...figures, loopDelayP99Ms: undefined, ...ownFigures, died }
}

const alive = (): undefined => undefined

function causeOfDeath(error: unknown): string {
  const why = error instanceof Error ? error.message : String(error)
  return why.startsWith('no answer') ? `the server's event loop stood still: ${why}, and no RPC was served` : why
}
