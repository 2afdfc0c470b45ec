/**
 * A server of case `rpc`: the example delivery server in one mode, in a process of its own, so that a server that dies
 * takes nothing with it. Its parent tells it when a slice begins and ends.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setFlagsFromString } from 'node:v8'
import { startDeliveryServer } from '../../examples/delivery-server/server.js'
import { answerRequests } from '../instruments.js'
import { type ModeName, openMode } from './modes.js'

/** Answered with: the server's address, nothing, ServerFigures, nothing. */
export type ServerRequest =
  | { readonly kind: 'start'; readonly mode: ModeName }
  | { readonly kind: 'begin' }
  | { readonly kind: 'end' }
  | { readonly kind: 'stop' }

/** What a server says of a slice. */
export interface ServerFigures {
  /** The 99th percentile of the event loop's delay. */
  readonly loopDelayP99Ms: number
  /** Undefined where there are no lanes. */
  readonly lanesReplaced?: number
}

const RESOLUTION_MS = 5
/** Everything that a long run enqueues: nobody fetches it. */
const UNBOUNDED = { queueMessages: 10_000_000, queuedBytes: 2 ** 40 }

// The room for garbage that this process is started with is for the server's own thread: lanes have V8's defaults.
for (const option of ['--min-semi-space-size=0', '--max-semi-space-size=0']) setFlagsFromString(option)

const loopDelay = monitorEventLoopDelay({ resolution: RESOLUTION_MS })

let countReplaced: (() => number) | undefined
let replacedBefore = 0
let stop: () => Promise<void> = async () => {}

answerRequests(async (request: ServerRequest): Promise<unknown> => {
  switch (request.kind) {
    case 'start': {
      const mode = await openMode(request.mode)
      const server = await startDeliveryServer({
        ...(mode.engine !== undefined && { engine: mode.engine }),
        limits: UNBOUNDED,
        onError: () => {},
      })
      countReplaced = mode.lanesReplaced
      stop = async () => {
        await server.stop({ graceMs: 500 })
        await mode.close()
      }
      return server.address
    }
    case 'begin':
      replacedBefore = countReplaced?.() ?? 0
      loopDelay.reset()
      return loopDelay.enable()
    case 'end':
      // Its timer would go on in the slices of the others.
      loopDelay.disable()
      return {
        // The histogram holds the intervals between its timer's turns; what is over its resolution is delay.
        loopDelayP99Ms: Math.max(0, loopDelay.percentile(99) / 1e6 - RESOLUTION_MS),
        ...(countReplaced !== undefined && { lanesReplaced: countReplaced() - replacedBefore }),
      } satisfies ServerFigures
    case 'stop':
      return stop()
  }
})
