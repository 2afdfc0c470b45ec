/**
 * Asks and tells an engine of mqtt@1. A question has one of three outcomes: *allowed*, *refused* by a plugin, or
 * *undecided*: a plugin failed under a policy of deny, the engine is closed, the event cannot be built. Asking never
 * rejects. One per attached broker; host's thread only.
 *
 * A question that did not reach its plugin in time, because the lanes were busy, is asked again until `maxWaitMs` are over:
 * it costs a plugin nothing, and who waits is slowed down by that. `persist` asks again what is undecided, for `holdMs`.
 */
import {
  type EventInput,
  isUndecided,
  type MqttClientInfo,
  type MqttPublishPacket,
  type mqtt,
  type ReplyOutput,
  type Verdict,
} from '../../contracts/index.js'
import type { HookEngine } from '../../index.js'
import { Semaphore } from '../../primitives/semaphore.js'
import type { Packet } from './broker.js'
import type { HookCounts } from './counts.js'
import { packetOf } from './packets.js'
import type { Reports } from './reports.js'
import { isPublishable } from './topics.js'

type Points = typeof mqtt.hookpoints
/** What the adapter needs of an engine. With a registry the broker's figures are among its metrics. */
export type MqttEngine = Pick<
  HookEngine<Points, (typeof mqtt)['services']>,
  'contract' | 'hooks' | 'isSubscribed' | 'provide'
> & { readonly registry?: unknown }

type NamesOf<Kind extends string> = {
  [Name in keyof Points & string]: Points[Name]['kind'] extends Kind ? Name : never
}[keyof Points & string]
type Asked = NamesOf<'gate' | 'transform'>
type Answered = NamesOf<'respond'>
type Told = NamesOf<'observe'>

/** A plugin has said no. */
export interface Refused {
  readonly kind: 'refused'
  readonly reason: string
  /** The plugin's MQTT reason code. */
  readonly code: number | undefined
}

/** Nobody has said anything. */
export interface Undecided {
  readonly kind: 'undecided'
  readonly reason: string
  /**
   * `failed`: a plugin, which may do better the next time. Asking again is of no use where the engine is closed, where the
   * event is larger than it takes, or where no event can be made of it: no hook has seen those, and none could.
   */
  readonly cause: 'failed' | 'engine-closed' | 'too-large' | 'invalid'
}

export type Ruling<Event> =
  | { readonly kind: 'allowed'; readonly event: Event; readonly isReplaced: boolean }
  | Refused
  | Undecided

export type PacketRuling = Ruling<{ readonly packet: MqttPublishPacket }>

export type Answer<Value> =
  | { readonly kind: 'answer'; readonly value: Value }
  | { readonly kind: 'none' }
  | Refused
  | Undecided

export interface QuestionsOptions {
  readonly counts: HookCounts
  readonly reports: Reports
  readonly maxCallsUnderWay: number
  readonly maxWaitMs: number
  readonly holdMs: number
}

type LooseHook = (event: unknown) => Promise<Verdict>

const FIRST_PAUSE_MS = 50
const LONGEST_PAUSE_MS = 1_000

export class Questions {
  readonly counts: HookCounts
  readonly #engine: MqttEngine
  readonly #hooks: Readonly<Record<string, LooseHook>>
  readonly #reports: Reports
  readonly #maxWaitMs: number
  readonly #holdMs: number
  /** What one message becomes for a thousand subscribers must wait its turn, not be an overload by itself. */
  readonly #turns: Semaphore
  #isAttached = true

  constructor(engine: MqttEngine, { counts, reports, maxCallsUnderWay, maxWaitMs, holdMs }: QuestionsOptions) {
    this.#engine = engine
    this.#hooks = engine.hooks as unknown as Readonly<Record<string, LooseHook>>
    this.counts = counts
    this.#reports = reports
    this.#maxWaitMs = maxWaitMs
    this.#holdMs = holdMs
    this.#turns = new Semaphore(maxCallsUnderWay)
  }

  isSubscribed(hookpoint: keyof Points & string): boolean {
    return this.#isAttached && this.#engine.isSubscribed(hookpoint)
  }

  async ask<Name extends Asked>(
    hookpoint: Name,
    event: EventInput<Points[Name]>,
  ): Promise<Ruling<EventInput<Points[Name]>>> {
    try {
      const verdict = await this.#call(hookpoint, event)
      if (verdict.kind === 'reject') return this.#rejected(verdict)
      return verdict.kind === 'replace'
        ? { kind: 'allowed', event: verdict.event as typeof event, isReplaced: true }
        : { kind: 'allowed', event, isReplaced: false }
    } catch (error) {
      return this.#failed(error, hookpoint)
    }
  }

  /** The same for events that carry a packet, at one hookpoint after the other; one that was changed is made sure of. */
  async askPacket<Client>(
    hookpoints: readonly Asked[],
    event: { readonly client: Client; readonly packet: MqttPublishPacket },
  ): Promise<PacketRuling> {
    let current = event
    let isReplaced = false
    for (const hookpoint of hookpoints) {
      if (!this.isSubscribed(hookpoint)) continue
      const ruling = await this.ask(hookpoint, current as never)
      if (ruling.kind !== 'allowed') return ruling
      if (!ruling.isReplaced) continue
      const { packet } = ruling.event as { readonly packet: MqttPublishPacket }
      if (packet.topic !== current.packet.topic && !isPublishable(packet.topic)) {
        this.counts.repliesInvalid += 1
        const topic = JSON.stringify(packet.topic.slice(0, 80))
        return undecided(`${hookpoint}: a plugin gave the message the topic ${topic}, which is none`)
      }
      current = { client: event.client, packet }
      isReplaced = true
    }
    return { kind: 'allowed', event: current, isReplaced }
  }

  async request<Name extends Answered>(
    hookpoint: Name,
    event: EventInput<Points[Name]>,
  ): Promise<Answer<ReplyOutput<Points[Name]>>> {
    try {
      const verdict = await this.#call(hookpoint, event)
      if (verdict.kind === 'reject') return this.#rejected(verdict)
      return verdict.kind === 'respond' ? { kind: 'answer', value: verdict.value as never } : { kind: 'none' }
    } catch (error) {
      return this.#failed(error, hookpoint)
    }
  }

  /**
   * Asks again, with growing pauses, until somebody has decided, `holdMs` are over, or nobody waits for it any more
   * (`isOver`). What it comes to then is the last ruling. `onHold` is told before it is asked a second time.
   */
  async persist<Outcome extends { readonly kind: string }>(
    ask: () => Promise<Outcome | Undecided>,
    isOver: () => boolean,
    onHold?: () => void,
  ): Promise<Outcome | Undecided> {
    const endMs = performance.now() + this.#holdMs
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)) {
      const ruling = await ask()
      if (ruling.kind !== 'undecided' || (ruling as Undecided).cause !== 'failed' || isOver()) return ruling
      const leftMs = endMs - performance.now()
      if (leftMs <= 0) return ruling
      if (pauseMs === FIRST_PAUSE_MS) onHold?.()
      await pause(Math.min(pauseMs, leftMs))
    }
  }

  tell<Name extends Told>(hookpoint: Name, event: () => EventInput<Points[Name]>): void {
    if (!this.isSubscribed(hookpoint)) return
    try {
      ;(this.#hooks[hookpoint] as unknown as (event: unknown) => void)(event())
    } catch (error) {
      this.#reports.report(error, hookpoint)
    }
  }

  /** Tells that a message did not reach a subscriber, or (null) anybody. */
  dropped(
    client: MqttClientInfo | null,
    packet: Packet,
    why: { readonly reason: string; readonly cause?: string },
  ): void {
    // What is too large to be asked about is too large to be told: its payload is left out.
    const told = why.cause === 'too-large' ? { ...packet, payload: '' } : packet
    this.tell('onMessageDropped', () => ({ client, packet: packetOf(told), reason: why.reason }))
  }

  report(error: unknown, place: string): void {
    this.#reports.report(error, place)
  }

  /** From now on nobody subscribes to anything. */
  detach(): void {
    this.#isAttached = false
  }

  async #call(hookpoint: string, event: unknown): Promise<Verdict> {
    const endMs = performance.now() + this.#maxWaitMs
    for (;;) {
      const verdict = await this.#callOnce(hookpoint, event)
      if (!hasNotBegun(verdict) || performance.now() >= endMs) return verdict
      this.counts.delayed += 1
      await pause(FIRST_PAUSE_MS)
    }
  }

  async #callOnce(hookpoint: string, event: unknown): Promise<Verdict> {
    if (!this.#turns.tryAcquire()) await this.#turns.acquire()
    try {
      return await this.#hooks[hookpoint]!(event)
    } finally {
      this.#turns.release()
    }
  }

  #rejected(verdict: Extract<Verdict, { kind: 'reject' }>): Refused | Undecided {
    const { reason, code, failure } = verdict
    if (!isUndecided(verdict)) return { kind: 'refused', reason, code }
    this.counts.failures += 1
    return undecided(failure?.message ?? reason)
  }

  /** An error of asking: who cannot be asked has not agreed. */
  #failed(error: unknown, hookpoint: string): Undecided {
    const code = (error as { readonly code?: unknown } | null)?.code
    const reason = error instanceof Error ? error.message : String(error)
    switch (code) {
      case 'EVENT_TOO_LARGE':
        this.counts.eventsTooLarge += 1
        return undecided(reason, 'too-large')
      case 'EVENT_INVALID':
        this.counts.failures += 1
        return undecided(reason, 'invalid')
      case 'ENGINE_CLOSED':
        this.counts.failures += 1
        return undecided(reason, 'engine-closed')
      default:
        this.counts.failures += 1
        if (code !== 'PLUGIN_FAILED') this.#reports.report(error, hookpoint)
        return undecided(reason)
    }
  }
}

function undecided(reason: string, cause: Undecided['cause'] = 'failed'): Undecided {
  return { kind: 'undecided', reason, cause }
}

/** Its time went by while it waited for its lane: the plugin knows nothing of it. */
function hasNotBegun({ failure }: Verdict): boolean {
  return failure !== undefined && failure.ranMs === 0 && (failure.kind === 'timeout' || failure.kind === 'overload')
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
