/**
 * The host's end of the control plane: comlink over two MessagePorts. Every call has a deadline, and everything that
 * comes back is checked. Host's thread only.
 */
import { MessageChannel, type MessagePort, receiveMessageOnPort } from 'node:worker_threads'
import { type Endpoint, expose, type Remote, releaseProxy, wrap } from 'comlink'
import nodeEndpoint from 'comlink/dist/esm/node-adapter.mjs'
import type {
  HandOver,
  HostControl,
  LaneControl,
  LaneSpec,
  LoadResult,
  ServiceAnswer,
  ServiceCall,
} from '../../contracts/control.js'
import { hostCallSchema, loadResultSchema, serviceCallSchema } from '../../contracts/control-checks.js'
import { HookringError } from '../../contracts/errors.js'
import { type ReadBatch, readLogBatch } from '../../contracts/log-batch.js'
import { type LaneLoss, laneLossSchema } from '../../contracts/process.js'
import { ChildWatch } from './child-watch.js'

const NO_SERVICE: ServiceAnswer = { ok: false, code: 'SERVICE_UNAVAILABLE', message: 'there is no such service' }

export class LaneLink {
  /** The ports to transfer to the thread. */
  readonly ports: { readonly lanePort: MessagePort; readonly hostPort: MessagePort }
  /** Resolves with the thread's id once it has booted. */
  readonly booted: Promise<number>
  readonly #toLane = new MessageChannel()
  readonly #toHost = new MessageChannel()
  readonly #lane: Remote<LaneControl>
  readonly #child: ChildWatch | null
  readonly #closed: Promise<void>
  #tellClosed: () => void = () => {}
  #isClosed = false
  #receiveLog: (batch: ReadBatch) => void | Promise<void> = () => {}
  #isLogging = false
  #receiveLoss: (loss: LaneLoss) => void = () => {}
  #serve: (call: ServiceCall) => Promise<ServiceAnswer> = async () => NO_SERVICE
  #announce: () => void = () => {}

  /** @param hasChild whether the lane's plugins run in a child process */
  constructor({ hasChild }: { hasChild: boolean } = { hasChild: false }) {
    const lanePort = this.#toLane.port1
    this.ports = { lanePort: this.#toLane.port2, hostPort: this.#toHost.port2 }
    this.#child = hasChild ? new ChildWatch() : null
    this.#closed = new Promise((resolve) => {
      this.#tellClosed = resolve
    })
    expose(this.#hostControl(), callsOnly(this.#toHost.port1))
    this.booted = bootedOn(lanePort)
    if (this.#child !== null) lanePort.on('message', (message) => this.#child?.hear(message))
    this.#lane = wrap<LaneControl>(nodeEndpoint(lanePort))
    // The Piscina task keeps the process alive, not the ports.
    lanePort.unref()
    this.#toHost.port1.unref()
  }

  /** @throws HookringError CONTROL_TIMEOUT, PLUGIN_SETUP_FAILED for a malformed answer */
  async load(spec: LaneSpec, timeoutMs: number): Promise<LoadResult> {
    const answer = await this.#ask<unknown>(() => this.#lane.load(spec) as Promise<unknown>, timeoutMs, 'load')
    const checked = loadResultSchema.safeParse(answer)
    if (checked.success) return checked.data
    throw new HookringError('PLUGIN_SETUP_FAILED', 'a lane gave a malformed answer to load')
  }

  /** @throws HookringError CONTROL_TIMEOUT */
  shutdown(timeoutMs: number): Promise<void> {
    return this.#ask(() => this.#lane.shutdown(), timeoutMs, 'shutdown')
  }

  /** @throws HookringError CONTROL_TIMEOUT */
  handOver(step: HandOver, timeoutMs: number): Promise<void> {
    return this.#ask(() => this.#lane.handOver(step), timeoutMs, 'handOver')
  }

  /** @throws HookringError CONTROL_TIMEOUT */
  stop(timeoutMs: number, isSucceeded = false): Promise<void> {
    return this.#ask(() => this.#lane.stop(isSucceeded), timeoutMs, 'stop')
  }

  /** Sets who receives log batches. A spare has no lane yet. */
  onLog(receive: (batch: ReadBatch) => void | Promise<void>): void {
    this.#receiveLog = receive
  }

  /** Sets who is called when the lane reports that its child process is lost. */
  onLost(receive: (loss: LaneLoss) => void): void {
    this.#receiveLoss = receive
  }

  /** Sets who answers when a plugin calls a host service. */
  onServe(serve: (call: ServiceCall) => Promise<ServiceAnswer>): void {
    this.#serve = serve
  }

  /** Sets what is called after each message for which the thread must be woken. */
  onSent(announce: () => void): void {
    this.#announce = announce
  }

  /**
   * Kills the lane's child process, if it has one, once it has booted. Waits up to `graceMs` for the lane to report its
   * exit.
   */
  async endChild(graceMs: number): Promise<void> {
    if (this.#child === null) return
    // The lane's last messages may still be in the port.
    for (;;) {
      const said = receiveMessageOnPort(this.#toLane.port1)
      if (said === undefined) break
      this.#child.hear(said.message)
    }
    await this.#child.end(graceMs)
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#tellClosed()
    this.#lane[releaseProxy]()
    this.#toLane.port1.close()
    this.#toHost.port1.close()
  }

  /** The functions that the lane may call. */
  #hostControl(): HostControl {
    return {
      log: (text) => this.#log(text),
      lost: (loss) => {
        const checked = laneLossSchema.safeParse(loss)
        this.#receiveLoss(
          checked.success ? checked.data : { reason: 'violation', message: 'its lane broke the protocol' },
        )
      },
      serve: async (call) => {
        const checked = serviceCallSchema.safeParse(call)
        return checked.success ? this.#serve(checked.data) : NO_SERVICE
      },
    }
  }

  /** A lane waits for the answer before it sends the next batch. A batch that comes meanwhile is ignored. */
  async #log(text: unknown): Promise<void> {
    if (this.#isLogging) return
    this.#isLogging = true
    try {
      await this.#receiveLog(readLogBatch(text))
    } finally {
      this.#isLogging = false
    }
  }

  async #ask<T>(call: () => Promise<T>, timeoutMs: number, what: string): Promise<T> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      const refuse = (why: string) =>
        reject(new HookringError('CONTROL_TIMEOUT', `a lane did not answer ${what}: ${why}`))
      timer = setTimeout(() => refuse(`${timeoutMs} ms have passed`), timeoutMs)
      // comlink never settles a call whose port is closed.
      void this.#closed.then(() => refuse('its thread was terminated'))
    })
    try {
      const answer = call()
      this.#announce()
      return await Promise.race([answer, late])
    } finally {
      clearTimeout(timer)
    }
  }
}

/**
 * comlink would follow any path that a message names, and read, set, call or construct what it finds there. Only calls of
 * the protocol get through.
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

function bootedOn(port: MessagePort): Promise<number> {
  return new Promise((resolve) => {
    port.on('message', function hello(message: { ready?: unknown }) {
      if (typeof message?.ready !== 'number') return
      port.off('message', hello)
      resolve(message.ready)
    })
  })
}
