/**
 * Four ways for a server to ask its hook: not at all, inline, through Piscina, through hookring. Each gives the hooks of
 * delivery@1 to the delivery server. Used in the server's process, on its thread.
 *
 * Piscina and hookring get two threads each, since the hook is known to block one, and the same deadline: hookring's
 * default. Everything else is default. Piscina runs one task per thread, so that aborting a stuck task costs no other.
 */
import type { GateVerdict } from 'hookring/contracts'
import type { DeliveryHooks } from '../../examples/delivery-server/server.js'
import { misbehave } from './misbehave.js'

export const MODES = ['none', 'inline', 'piscina', 'hookring'] as const
export type ModeName = (typeof MODES)[number]

export interface Mode {
  /** Undefined: the server has no hooks. */
  readonly engine: { readonly hooks: DeliveryHooks } | undefined
  /** Lanes replaced since the mode was opened. */
  lanesReplaced?(): number
  close(): Promise<void>
}

const THREADS = 2
const TIMEOUT_MS = 100
const CONTINUE: GateVerdict = { kind: 'continue' }

export async function openMode(name: ModeName): Promise<Mode> {
  switch (name) {
    case 'none':
      return { engine: undefined, close: async () => {} }
    case 'inline':
      return {
        engine: gateOnly(async ({ payloadLen }) => {
          misbehave(payloadLen)
          return CONTINUE
        }),
        close: async () => {},
      }
    case 'piscina':
      return openPiscina()
    case 'hookring':
      return openHookring()
  }
}

async function openPiscina(): Promise<Mode> {
  const { Piscina } = await import('piscina')
  const pool = new Piscina({
    filename: new URL('./misbehave-worker.js', import.meta.url).href,
    minThreads: THREADS,
    maxThreads: THREADS,
  })
  pool.on('error', () => {}) // tasks report their own
  return {
    engine: gateOnly(async (event, { timeoutMs = TIMEOUT_MS } = {}) => {
      try {
        await pool.run(event, { signal: AbortSignal.timeout(Math.min(TIMEOUT_MS, timeoutMs)) })
        return CONTINUE
      } catch (error) {
        const kind = error instanceof Error && error.name === 'AbortError' ? 'timeout' : 'error'
        const failure = {
          kind,
          plugin: 'misbehaving',
          hookpoint: 'onMessageEnqueue',
          message: String(error),
          waitedMs: 0,
          ranMs: 0,
        } as const
        return { kind: 'reject', reason: failure.message, plugin: failure.plugin, failure }
      }
    }),
    close: () => pool.destroy(),
  }
}

async function openHookring(): Promise<Mode> {
  const { createHookEngine } = await import('hookring')
  const { delivery } = await import('hookring/contracts')
  const engine = await createHookEngine({
    contract: delivery,
    plugins: [{ from: new URL('../plugins/misbehaving.js', import.meta.url) }],
    workers: THREADS,
  })
  let lanesReplaced = 0
  engine.on('laneReplaced', () => {
    lanesReplaced++
  })
  return { engine, lanesReplaced: () => lanesReplaced, close: () => engine.close() }
}

function gateOnly(onMessageEnqueue: DeliveryHooks['onMessageEnqueue']): { hooks: DeliveryHooks } {
  const ignore = (): void => {}
  return {
    hooks: {
      onMessageEnqueue,
      onBatchEnqueue: ignore,
      onAuth: ignore,
      onChannelCreated: ignore,
      onFetch: ignore,
      onUserRegistered: ignore,
    },
  }
}
