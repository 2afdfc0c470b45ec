/**
 * The host's end of the control plane: comlink over two MessagePorts, every call under a deadline, everything that comes
 * back checked. Host's thread only.
 */
import { MessageChannel, type MessagePort } from 'node:worker_threads'
import { expose, releaseProxy, wrap } from 'comlink'
import nodeEndpoint from 'comlink/dist/esm/node-adapter.mjs'
import {
  type HostControl,
  type LaneControl,
  type LaneSpec,
  type LoadResult,
  type LogBatch,
  loadResultSchema,
  logBatchSchema,
} from '../contracts/control.js'
import { HookringError } from '../contracts/errors.js'

export interface LaneLink {
  /** To transfer to the thread. */
  readonly ports: { lanePort: MessagePort; hostPort: MessagePort }
  /** Resolves with the thread's id once it has booted. */
  readonly booted: Promise<number>
  load(spec: LaneSpec, timeoutMs: number): Promise<LoadResult>
  shutdown(timeoutMs: number): Promise<void>
  stop(timeoutMs: number): Promise<void>
  /** Where log batches go from here on; a spare has no lane yet. */
  onLog(receive: (batch: LogBatch) => void): void
  /** Called after each message that the thread must be woken for. */
  onSent(announce: () => void): void
  close(): void
}

export function createLaneLink(): LaneLink {
  const toLane = new MessageChannel()
  const toHost = new MessageChannel()
  let receive: (batch: LogBatch) => void = () => {}
  let announce: () => void = () => {}
  let isClosed = false
  let tellClosed: () => void
  const closed = new Promise<void>((resolve) => {
    tellClosed = resolve
  })
  const host: HostControl = {
    log(batch) {
      const checked = logBatchSchema.safeParse(batch)
      receive(checked.success ? checked.data : { lines: [], dropped: 1 })
    },
  }
  expose(host, nodeEndpoint(toHost.port1))
  const booted = new Promise<number>((resolve) => {
    toLane.port1.on('message', function hello(message: { ready?: unknown }) {
      if (typeof message?.ready !== 'number') return
      toLane.port1.off('message', hello)
      resolve(message.ready)
    })
  })
  const lane = wrap<LaneControl>(nodeEndpoint(toLane.port1))
  // The task that runs in the thread keeps the process alive, not the ports.
  toLane.port1.unref()
  toHost.port1.unref()

  async function ask<T>(call: () => Promise<T>, timeoutMs: number, what: string): Promise<T> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      const refuse = (why: string) =>
        reject(new HookringError('CONTROL_TIMEOUT', `a lane did not answer ${what}: ${why}`))
      timer = setTimeout(() => refuse(`${timeoutMs} ms have passed`), timeoutMs)
      // A call whose port dies never settles by itself.
      void closed.then(() => refuse('its thread was let go of'))
    })
    try {
      const answer = call()
      announce()
      return await Promise.race([answer, late])
    } finally {
      clearTimeout(timer)
    }
  }

  return {
    ports: { lanePort: toLane.port2, hostPort: toHost.port2 },
    booted,
    async load(spec, timeoutMs) {
      const answer = await ask<unknown>(() => lane.load(spec) as Promise<unknown>, timeoutMs, 'load')
      const checked = loadResultSchema.safeParse(answer)
      if (checked.success) return checked.data
      throw new HookringError('PLUGIN_SETUP_FAILED', 'a lane answered load with something that is no result')
    },
    shutdown: (timeoutMs) => ask(() => lane.shutdown(), timeoutMs, 'shutdown'),
    stop: (timeoutMs) => ask(() => lane.stop(), timeoutMs, 'stop'),
    onLog(receiver) {
      receive = receiver
    },
    onSent(announcer) {
      announce = announcer
    },
    close() {
      if (isClosed) return
      isClosed = true
      tellClosed()
      lane[releaseProxy]()
      toLane.port1.close()
      toHost.port1.close()
    },
  }
}
