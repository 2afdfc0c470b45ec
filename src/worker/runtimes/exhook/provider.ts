/**
 * A provider's life as its lane sees it. The lane's thread.
 *
 *   loading ---> serving ---> waiting (connection lost) ---> loading anew ---> serving
 *                                 \---> away (connecting has failed) --/
 *
 * Whoever asks while it is waiting waits too, until the deadline; while it is away he is told so at once. A provider that
 * comes back may have forgotten everything, so it is loaded anew, and may want other hooks or topics than before.
 */
import type { HandOver } from '../../../contracts/control.js'
import type { ExhookVersion } from '../../../contracts/exhook/rpcs.js'
import type { ProviderConfig } from '../../../contracts/remote-provider.js'
import type { PluginLogger } from '../../../plugin/index.js'
import { describe } from '../../../plugin/setup.js'
import { within } from '../../../primitives/within.js'
import { StoppedAtDeadline } from '../runtime.js'
import { type BoolAnswer, type MessageAnswer, type Mounted, type Read, readBool, readMessage } from './answers.js'
import { type CallLimits, type ConnectionState, type Connections, openConnections, RpcFailure } from './connection.js'
import { LOAD_ATTEMPT_MS, loadFirst, loadOnce } from './loading.js'
import { metaOf, type RequestMeta } from './meta.js'
import { Notices } from './notices.js'
import { loadWire, type Method, type Wire, type WireMessage } from './wire.js'

export interface ProviderOptions {
  readonly plugin: string
  readonly url: string
  readonly version: ExhookVersion
  readonly config: ProviderConfig
  readonly log: PluginLogger
  /** How long its first answer may take, retries included; in milliseconds. */
  readonly setupMs: number
  /** What a refusal that is said as a gRPC status becomes; EMQX's `failed_action`. */
  readonly failedAction: 'deny' | 'allow'
  /** The plugin is loaded in place of another version of itself, of which the provider takes leave first. */
  readonly isReload: boolean
  /** Told when a provider that has come back wants other hooks than before. */
  onMounted(mounted: Mounted): void
}

type Standing =
  | { readonly kind: 'serving' }
  | { readonly kind: 'waiting' }
  | { readonly kind: 'away'; readonly why: string }

/** A provider that is connected and refuses to be loaded is asked again, ever more rarely. */
const RELOAD_MS = 250
const RELOAD_MAX_MS = 30_000
/** One that is lost again so soon is loaded anew after a pause, from the second time on. */
const STEADY_MS = 5_000
/** Nobody waits for what it answers. */
const UNLOAD_MS = 1_000
/**
 * INVALID_ARGUMENT, NOT_FOUND, PERMISSION_DENIED, FAILED_PRECONDITION, UNAUTHENTICATED: the provider is well, and says no to
 * this one request. Any other status is a failure of the provider's.
 */
const REFUSALS: ReadonlySet<number> = new Set([3, 5, 7, 9, 16])

/** @throws HookringError GRPC_MISSING, PLUGIN_CONFIG_INVALID, PROVIDER_UNREACHABLE, PROVIDER_HOOK_UNKNOWN, PROVIDER_INVALID */
export async function mountProvider(options: ProviderOptions): Promise<RemoteProvider> {
  const endMs = Date.now() + options.setupMs
  const wire = await loadWire(options.version, options.plugin)
  const provider = new RemoteProvider(options, wire)
  try {
    await provider.mount(endMs)
  } catch (error) {
    provider.close()
    throw error
  }
  return provider
}

export class RemoteProvider {
  /** Of which broker requests come. */
  readonly meta: RequestMeta
  readonly #options: ProviderOptions
  readonly #wire: Wire
  readonly #notices: Notices
  #connections: Connections | null = null
  #standing: Standing = { kind: 'waiting' }
  #waiting: (() => void)[] = []
  /** Requests that the provider has not answered. */
  readonly #underWay = new Set<Promise<unknown>>()
  #mounted: Mounted = new Map()
  #isClosed = false
  #isLoaded = false
  /** Another version of the plugin is being loaded, or has been: that one loads it when it comes back. */
  #isHandedOver = false
  /** Another version of the plugin has been loaded: the provider is not to be told that it is unloaded. */
  #isSucceeded = false
  /** Counts connections: what was begun under an earlier one is not gone on with. */
  #generation = 0
  #servingSinceMs = 0
  /** How often in a row it was lost again soon. */
  #losses = 0

  constructor(options: ProviderOptions, wire: Wire) {
    this.#options = options
    this.#wire = wire
    this.#notices = new Notices(options.log)
    this.meta = metaOf(options.config)
  }

  get mounted(): Mounted {
    return this.#mounted
  }

  /** Connects, and loads the provider for the first time. @throws HookringError PROVIDER_... */
  async mount(endMs: number): Promise<void> {
    const { plugin, url, config, isReload } = this.#options
    const connections = await openConnections({ plugin, url, config, onState: (state) => this.#follow(state) })
    this.#connections = connections
    const unload = isReload ? () => this.#sayUnloaded(Math.min(endMs, Date.now() + UNLOAD_MS)) : null
    this.#mounted = await loadFirst({ ...this.#options, ...this.#loading(connections), endMs, unload })
    this.#isLoaded = true
    if (connections.state === 'up') this.#stand({ kind: 'serving' })
    else this.#follow(connections.state)
  }

  /** Whether it wants to hear of a message, as of now. */
  wants(subject: string, topic: string): boolean {
    return this.#mounted.get(subject)?.(topic) === true
  }

  /** Undefined: it does not want this hook, or none of this message, or has no say in it. */
  async askBool(subject: string, request: WireMessage, limits: CallLimits): Promise<BoolAnswer | undefined> {
    return this.#ask(subject, request, limits, {
      read: readBool,
      refused: (reason) => ({ value: false, isFinal: true, reason }),
    })
  }

  /** As `askBool`. */
  async askMessage(subject: string, request: WireMessage, limits: CallLimits): Promise<MessageAnswer | undefined> {
    return this.#ask(subject, request, limits, {
      read: readMessage,
      refused: (reason) => ({ isBlocked: true, qos: 0, topic: '', payload: NOTHING, isFinal: true, reason }),
    })
  }

  async tell(subject: string, request: WireMessage, limits: CallLimits): Promise<void> {
    try {
      await this.#exchange(subject, request, limits)
    } catch (error) {
      // It was told, and does not like it.
      if (!isRefusal(error)) throw error
      this.#notices.warn(error.message, `the provider ${this.#options.url} refuses to be told: ${error.message}`)
    }
  }

  /**
   * The same, beside a question: what goes wrong is logged, and is no reason to refuse. It has half of the time, so that there
   * is some left for the question.
   */
  async tellAside(subject: string, request: WireMessage, limits: CallLimits): Promise<void> {
    const nowMs = Date.now()
    const deadline = nowMs + (limits.deadline - nowMs) / 2
    try {
      await this.tell(subject, request, { ...limits, deadline })
    } catch (error) {
      if (error instanceof StoppedAtDeadline && limits.signal?.aborted === true) throw error
      const message = `the provider ${this.#options.url} could not be told of ${subject}: ${describe(error)}`
      this.#notices.warn(`aside ${subject}`, message)
    }
  }

  /** Its plugin is loaded anew in another lane. Between its leave and the next loading it is asked nothing: calls wait. */
  async handOver(step: HandOver): Promise<void> {
    const connections = this.#connections as Connections
    this.#isHandedOver = step !== 'back'
    if (step === 'begin') {
      const wasServing = this.#standing.kind === 'serving'
      this.#generation += 1
      this.#stand({ kind: 'waiting' })
      if (!wasServing) return
      // What it was asked before it may still answer.
      await within(Promise.allSettled(this.#underWay), UNLOAD_MS / 2)
      await this.#sayUnloaded(Date.now() + UNLOAD_MS / 2)
    } else if (step === 'back') {
      this.#follow(connections.state)
    } else {
      this.#stand(connections.state === 'up' ? { kind: 'serving' } : { kind: 'away', why: 'it cannot be reached' })
    }
  }

  /** Its plugin is about to end, and goes on in another lane. */
  succeeded(): void {
    this.#isSucceeded = true
  }

  /** Says goodbye, as far as there is somebody to hear it. */
  async unload(): Promise<void> {
    if (this.#isSucceeded) return
    const { url, log } = this.#options
    if (this.#standing.kind !== 'serving') {
      log.info(`the provider ${url} is away and not told that it is unloaded`)
      return
    }
    await this.#sayUnloaded(Date.now() + UNLOAD_MS)
  }

  close(): void {
    this.#isClosed = true
    this.#stand({ kind: 'away', why: 'its plugin is closed' })
    this.#connections?.close()
  }

  #loading(connections: Connections) {
    return { connections, method: this.#method('OnProviderLoaded'), meta: this.meta }
  }

  #method(subject: string): Method {
    return this.#wire.get(subject) as Method
  }

  async #sayUnloaded(deadline: number): Promise<void> {
    const { url, log } = this.#options
    try {
      await this.#connections?.call(this.#method('OnProviderUnloaded'), { meta: this.meta }, { deadline })
    } catch (error) {
      log.warn(`the provider ${url} was told that it is unloaded: ${describe(error)}`)
    }
  }

  async #ask<Answer>(
    subject: string,
    request: WireMessage,
    limits: CallLimits,
    { read, refused }: { read(reply: WireMessage, method: string): Read<Answer>; refused(reason: string): Answer },
  ): Promise<Answer | undefined> {
    let reply: WireMessage | null
    try {
      reply = await this.#exchange(subject, request, limits)
    } catch (error) {
      if (!isRefusal(error)) throw error
      return this.#options.failedAction === 'deny' ? refused(error.message) : undefined
    }
    if (reply === null) return undefined
    const { answer, problem } = read(reply, this.#method(subject).name)
    if (problem !== null) this.#notices.warn(problem, `${problem}: it is taken for IGNORE`)
    return answer
  }

  /** Null: it does not want it. */
  async #exchange(subject: string, request: WireMessage, limits: CallLimits): Promise<WireMessage | null> {
    const topic = topicOf(request)
    if (!this.wants(subject, topic)) return null
    if (this.#standing.kind !== 'serving') {
      await this.#whenServing(limits)
      if (!this.wants(subject, topic)) return null
    }
    const answer = (this.#connections as Connections).call(this.#method(subject), request, limits)
    this.#underWay.add(answer)
    return answer.finally(() => this.#underWay.delete(answer))
  }

  /** @throws Error when it is away, StoppedAtDeadline when it has not come back by then */
  async #whenServing({ signal }: CallLimits): Promise<void> {
    while (this.#standing.kind === 'waiting' && signal?.aborted !== true) await this.#nextStanding(signal)
    const standing = this.#standing
    if (standing.kind === 'away') throw new Error(`the provider ${this.#options.url} is away: ${standing.why}`)
    if (signal?.aborted === true) throw new StoppedAtDeadline()
  }

  #nextStanding(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        signal?.removeEventListener('abort', wake)
        const at = this.#waiting.indexOf(wake)
        if (at !== -1) this.#waiting.splice(at, 1)
        resolve()
      }
      this.#waiting.push(wake)
      signal?.addEventListener('abort', wake, { once: true })
    })
  }

  #stand(next: Standing): void {
    this.#standing = next
    if (next.kind === 'serving') this.#servingSinceMs = Date.now()
    if (next.kind === 'waiting') return
    const woken = this.#waiting
    this.#waiting = []
    for (const wake of woken) wake()
  }

  #follow(state: ConnectionState): void {
    if (!this.#isLoaded || this.#isClosed || this.#isHandedOver) return
    this.#generation += 1
    if (state === 'up') {
      this.#stand({ kind: 'waiting' })
      void this.#loadAnew(this.#generation)
      return
    }
    const { url, log } = this.#options
    if (this.#standing.kind === 'serving') {
      this.#losses = Date.now() - this.#servingSinceMs < STEADY_MS ? this.#losses + 1 : 0
      log.warn(`the connection to the provider ${url} is lost; connecting again`)
    }
    this.#stand(state === 'down' ? { kind: 'away', why: 'it cannot be reached' } : { kind: 'waiting' })
  }

  async #loadAnew(mine: number): Promise<void> {
    const { url, log } = this.#options
    let pauseMs = RELOAD_MS
    const isOver = () => this.#isClosed || mine !== this.#generation
    if (this.#losses > 1) await pause(Math.min(RELOAD_MS * 2 ** (this.#losses - 2), RELOAD_MAX_MS))
    while (!isOver()) {
      try {
        const loading = this.#loading(this.#connections as Connections)
        const next = await loadOnce({ ...this.#options, ...loading }, Date.now() + LOAD_ATTEMPT_MS)
        if (isOver()) return
        this.#mounted = next
        this.#options.onMounted(next)
        log.info(`the provider ${url} is back`)
        this.#stand({ kind: 'serving' })
        return
      } catch (error) {
        if (isOver()) return
        const why = error instanceof StoppedAtDeadline ? 'it did not answer when it was to be loaded' : describe(error)
        log.error(`the provider ${url} is back and cannot be loaded: ${why}`)
        this.#stand({ kind: 'away', why })
        await pause(pauseMs)
        pauseMs = Math.min(2 * pauseMs, RELOAD_MAX_MS)
      }
    }
  }
}

const NOTHING = new Uint8Array(0)

function isRefusal(error: unknown): error is RpcFailure {
  return error instanceof RpcFailure && REFUSALS.has(error.status)
}

function topicOf({ message }: WireMessage): string {
  return (message as { topic?: string } | undefined)?.topic ?? ''
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref())
}
