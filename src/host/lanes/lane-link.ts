/**
 * The host's end of the control plane: comlink over two MessagePorts, every call under a deadline, everything that comes
 * back checked. Host's thread only.
 */
import { MessageChannel, type MessagePort, receiveMessageOnPort } from 'node:worker_threads'
import { type Endpoint, expose, releaseProxy, wrap } from 'comlink'
import nodeEndpoint from 'comlink/dist/esm/node-adapter.mjs'
import type {
  HostControl,
  LaneControl,
  LaneSpec,
  LoadResult,
  LogBatch,
  ServiceAnswer,
  ServiceCall,
} from '../../contracts/control.js'
import { hostCallSchema, loadResultSchema, logBatchSchema, serviceCallSchema } from '../../contracts/control-checks.js'
import { HookringError } from '../../contracts/errors.js'
import { type LaneLoss, laneLossSchema } from '../../contracts/process.js'
import { within } from '../../primitives/within.js'

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
  /** What becomes of a lane that says that its child process is lost. */
  onLost(receive: (loss: LaneLoss) => void): void
  /** Who answers when a plugin asks for a host service. */
  onServe(serve: (call: ServiceCall) => Promise<ServiceAnswer>): void
  /** Ends the lane's child process, if it has one, once it has booted, and waits so long for the lane to take note. */
  endChild(graceMs: number): Promise<void>
  /** Called after each message that the thread must be woken for. */
  onSent(announce: () => void): void
  close(): void
}

/** A child that has not booted by then never will. Some tenths of a second, a second or two where everything is slow. */
const CHILD_BOOT_MS = 10_000
const NO_SERVICE: ServiceAnswer = { ok: false, code: 'SERVICE_UNAVAILABLE', message: 'there is no such service' }

/**
 * comlink would follow any path that a message names, and read, set, call or construct what it finds there. Only calls of
 * the protocol get through to it.
 */
function callsOnly(port: MessagePort): Endpoint {
  const endpoint = nodeEndpoint(port)
  return {
    ...endpoint,
    addEventListener(type, listener) {
      const listen = listener as (event: { data: unknown }) => void
      endpoint.addEventListener(type, (event: { data: unknown }) => {
        if (hostCallSchema.safeParse(event.data).success) listen(event)
      })
    },
  }
}

/** @param hasChild whether its plugins run in a child process */
export function createLaneLink({ hasChild }: { hasChild: boolean } = { hasChild: false }): LaneLink {
  const toLane = new MessageChannel()
  const toHost = new MessageChannel()
  let receive: (batch: LogBatch) => void = () => {}
  let receiveLoss: (loss: LaneLoss) => void = () => {}
  let serve: (call: ServiceCall) => Promise<ServiceAnswer> = async () => NO_SERVICE
  let announce: () => void = () => {}
  const child = createChildWatch()
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
    lost(loss) {
      const checked = laneLossSchema.safeParse(loss)
      receiveLoss(checked.success ? checked.data : { reason: 'violation', message: 'its lane broke the protocol' })
    },
    async serve(call) {
      const checked = serviceCallSchema.safeParse(call)
      return checked.success ? serve(checked.data) : NO_SERVICE
    },
  }
  expose(host, callsOnly(toHost.port1))
  const booted = new Promise<number>((resolve) => {
    toLane.port1.on('message', function hello(message: { ready?: unknown }) {
      if (typeof message?.ready !== 'number') return
      toLane.port1.off('message', hello)
      resolve(message.ready)
    })
  })
  if (hasChild) toLane.port1.on('message', child.hear)
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
    onLost(receiver) {
      receiveLoss = receiver
    },
    onServe(server) {
      serve = server
    },
    async endChild(graceMs) {
      if (!hasChild) return
      // What the lane said last may still be on its way.
      for (;;) {
        const said = receiveMessageOnPort(toLane.port1)
        if (said === undefined) break
        child.hear(said.message)
      }
      await child.end(graceMs)
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

interface ChildWatch {
  hear(message: unknown): void
  end(graceMs: number): Promise<void>
}

/** Knows of the process behind a lane by what its thread says; nothing of a plugin's runs in such a thread. */
function createChildWatch(): ChildWatch {
  let pid: number | null = null
  let tellBooted: () => void
  let tellGone: () => void = () => {}
  const booted = new Promise<void>((resolve) => {
    tellBooted = resolve
  })
  return {
    hear(message) {
      const { childBooted, childGone } = (message ?? {}) as Record<string, unknown>
      if (childBooted !== undefined) {
        pid = Number.isInteger(childBooted) ? (childBooted as number) : null
        tellBooted()
      }
      if (childGone !== true) return
      pid = null
      tellGone()
    },
    async end(graceMs) {
      await within(booted, CHILD_BOOT_MS)
      if (pid === null) return
      // The lane must live to see it gone: a dead process that nobody takes note of stays in the system's tables.
      const gone = new Promise<void>((resolve) => {
        tellGone = resolve
      })
      try {
        process.kill(pid, 'SIGKILL')
      } catch {
        // It is dead already; the lane is yet to say so.
      }
      await within(gone, graceMs)
    },
  }
}
