/**
 * A server of case `rpc`: the example delivery server in one mode, in a process of its own, so that a server that dies
 * takes nothing with it. Its parent tells it when a slice begins and ends.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks'
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
      loopDelay.enable()
      return server.address
    }
    case 'begin':
      replacedBefore = countReplaced?.() ?? 0
      return loopDelay.reset()
    case 'end':
      return {
        // The histogram holds the intervals between its timer's turns; what is over its resolution is delay.
        loopDelayP99Ms: Math.max(0, loopDelay.percentile(99) / 1e6 - RESOLUTION_MS),
        ...(countReplaced !== undefined && { lanesReplaced: countReplaced() - replacedBefore }),
      } satisfies ServerFigures
    case 'stop':
      return stop()
  }
})
