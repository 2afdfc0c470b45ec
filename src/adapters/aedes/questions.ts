/**
 * Asks and tells an engine of mqtt@1. A question has one of three outcomes: *allowed*, *refused* by a plugin, or
 * *undecided*: a plugin failed under a policy of deny, the engine is closed, the event cannot be built. Asking never
 * rejects. One per attached broker; host's thread only.
 *
 * A question that did not reach its plugin in time, because the lanes were busy, is asked again until `maxWaitMs` are over:
 * it costs a plugin nothing, and who waits is slowed down by that. `persist` asks again what is undecided, for `holdMs`.
 * Whoever is asked again goes on where the chain came to an end: a plugin that has agreed to a message has counted it.
 */
import {
  type EventInput,
  type Failure,
  isUndecided,
  type MqttClientInfo,
  type MqttPublishPacket,
  type mqtt,
  type ReplyOutput,
  type Verdict,
} from '../../contracts/index.js'
import type { HookEngine } from '../../index.js'
import { Semaphore } from '../../primitives/semaphore.js'
import type { ErrorReports } from '../reporting/error-reports.js'
import type { Packet } from './broker.js'
import type { HookCounts } from './counts.js'
import { packetOf } from './packets.js'
import {
  type Answer,
  Asking,
  type PacketRuling,
  type Refused,
  type Ruling,
  type Undecided,
  undecided,
} from './rulings.js'
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

export interface QuestionsOptions {
  readonly counts: HookCounts
  readonly reports: ErrorReports
  readonly maxCallsUnderWay: number
  readonly maxWaitMs: number
  readonly holdMs: number
}

export interface PersistOptions {
  /** Nobody waits for it any more. */
  isOver(): boolean
  onHold?(): void
  /** What it came to when it was last asked. */
  readonly before?: Undecided | null
}

type LooseHook = (event: unknown, options?: { readonly startAt: string }) => Promise<Verdict>

type Called =
  | { readonly verdict: Verdict; readonly failure: Failure | undefined; readonly error: null }
  | { readonly verdict: null; readonly failure: Failure | undefined; readonly error: unknown }

const FIRST_PAUSE_MS = 50
const LONGEST_PAUSE_MS = 1_000

export class Questions {
  readonly counts: HookCounts
  readonly #engine: MqttEngine
  readonly #hooks: Readonly<Record<string, LooseHook>>
  readonly #reports: ErrorReports
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

  /** `before`: what it came to the last time. */
  async ask<Name extends Asked>(
    hookpoint: Name,
    event: EventInput<Points[Name]>,
    before: Undecided | null = null,
  ): Promise<Ruling<EventInput<Points[Name]>>> {
    const asking = new Asking(hookpoint, event, before)
    try {
      const verdict = await this.#call(asking)
      if (verdict.kind === 'reject') return this.#rejected(verdict, asking)
      return verdict.kind === 'replace'
        ? { kind: 'allowed', event: verdict.event as typeof event, isReplaced: true }
        : { kind: 'allowed', event: asking.event as typeof event, isReplaced: asking.isReplaced }
    } catch (error) {
      return this.#failed(error, asking)
    }
  }

  /** The same for events that carry a packet, at one hookpoint after the other; one that was changed is made sure of. */
  async askPacket<Client>(
    hookpoints: readonly Asked[],
    event: { readonly client: Client; readonly packet: MqttPublishPacket },
    before: Undecided | null = null,
  ): Promise<PacketRuling> {
    const reached = before?.reached
    let current = event
    let isReplaced = false
    for (const hookpoint of hookpoints.slice(Math.max(0, hookpoints.indexOf(reached?.hookpoint as Asked)))) {
      const isReached = reached?.hookpoint === hookpoint
      if (isReached) {
        current = reached.event as typeof event
        isReplaced = reached.isReplaced
      }
      if (!this.isSubscribed(hookpoint)) continue
      const ruling = await this.ask(hookpoint, current as never, isReached ? before : null)
      if (ruling.kind === 'undecided' && isReplaced) return this.unusable(ruling, hookpoint)
      if (ruling.kind !== 'allowed') return ruling
      if (!ruling.isReplaced) continue
      const { packet } = ruling.event as { readonly packet: MqttPublishPacket }
      if (packet.topic !== current.packet.topic && !isPublishable(packet.topic)) {
        this.counts.repliesInvalid += 1
        const topic = JSON.stringify(packet.topic.slice(0, 80))
        return undecided(`${hookpoint}: a plugin gave the message the topic ${topic}, which is none`, 'reply')
      }
      current = { client: event.client, packet }
      isReplaced = true
    }
    return { kind: 'allowed', event: current, isReplaced }
  }

  /** `isOver`: it is not to be asked any more, though its plugin was not reached. */
  async request<Name extends Answered>(
    hookpoint: Name,
    event: EventInput<Points[Name]>,
    before: Undecided | null = null,
    isOver: () => boolean = () => false,
  ): Promise<Answer<ReplyOutput<Points[Name]>>> {
    const asking = new Asking(hookpoint, event, before)
    try {
      const verdict = await this.#call(asking, isOver)
      if (verdict.kind === 'reject') return this.#rejected(verdict, asking)
      return verdict.kind === 'respond' ? { kind: 'answer', value: verdict.value as never } : { kind: 'none' }
    } catch (error) {
      return this.#failed(error, asking)
    }
  }

  /** The event was a plugin's, not the client's: whoever made it too large for the next hookpoint is to blame. */
  unusable(ruling: Undecided, hookpoint: string): Undecided {
    if (ruling.cause !== 'too-large' && ruling.cause !== 'invalid') return ruling
    this.counts.repliesInvalid += 1
    return undecided(`a plugin's replacement cannot be asked about at ${hookpoint}: ${ruling.reason}`, 'reply')
  }

  /**
   * Asks again, with growing pauses, until somebody has decided, `holdMs` are over, or nobody waits for it any more
   * (`isOver`). What it comes to then is the last ruling. `ask` is told the ruling before, the first time that of `before`;
   * `onHold` is told before it is asked a second time.
   */
  async persist<Outcome extends { readonly kind: string }>(
    ask: (before: Undecided | null) => Promise<Outcome | Undecided>,
    { isOver, onHold, before = null }: PersistOptions,
  ): Promise<Outcome | Undecided> {
    const endMs = performance.now() + this.#holdMs
    let last = before
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)) {
      const ruling = await ask(last)
      if (ruling.kind !== 'undecided') return ruling
      last = ruling as Undecided
      if (last.cause !== 'failed' || isOver()) return last
      const leftMs = endMs - performance.now()
      if (leftMs <= 0) return last
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

  async #call(asking: Asking, isOver: () => boolean = () => false): Promise<Verdict> {
    const endMs = performance.now() + this.#maxWaitMs
    for (;;) {
      const { verdict, failure, error } = await this.#callOnce(asking)
      if (!hasNotBegun(failure) || isOver() || performance.now() >= endMs) {
        if (verdict === null) throw error
        return verdict
      }
      this.counts.delayed += 1
      await pause(FIRST_PAUSE_MS)
    }
  }

  /** Notes how far it has got. A failure is in the verdict, or raised: responds raise theirs. */
  async #callOnce(asking: Asking): Promise<Called> {
    const { hookpoint, event, startAt } = asking
    if (!this.#turns.tryAcquire()) await this.#turns.acquire()
    try {
      const verdict = await this.#hooks[hookpoint]!(event, startAt === undefined ? undefined : { startAt })
      const { failure } = verdict
      // Refused beside a failure that was allowed, it is decided; let pass beside one, it goes on at the one that failed.
      if (verdict.kind === 'reject' && !isUndecided(verdict)) return { verdict, failure: undefined, error: null }
      if (verdict.kind === 'reject') asking.cameTo(verdict.resume)
      else if (verdict.kind === 'continue' && failure !== undefined) asking.cameTo({ startAt: failure.plugin })
      return { verdict, failure, error: null }
    } catch (error) {
      const failure = raisedFailure(error)
      if (failure !== undefined) asking.raisedBy(failure.plugin)
      return { verdict: null, failure, error }
    } finally {
      this.#turns.release()
    }
  }

  #rejected(verdict: Extract<Verdict, { kind: 'reject' }>, asking: Asking): Refused | Undecided {
    const { reason, code, failure } = verdict
    if (!isUndecided(verdict)) return { kind: 'refused', reason, code }
    this.counts.failures += 1
    return { ...undecided(failure?.message ?? reason), reached: asking.reached }
  }

  #notAsked(ruling: Undecided, { hookpoint, isReplaced }: Asking): Undecided {
    return isReplaced ? this.unusable(ruling, hookpoint) : ruling
  }

  /** An error of asking: who cannot be asked has not agreed. */
  #failed(error: unknown, asking: Asking): Undecided {
    const { hookpoint } = asking
    const code = (error as { readonly code?: unknown } | null)?.code
    const reason = error instanceof Error ? error.message : String(error)
    switch (code) {
      case 'EVENT_TOO_LARGE':
        this.counts.eventsTooLarge += 1
        return this.#notAsked(undecided(reason, 'too-large'), asking)
      case 'EVENT_INVALID':
        this.counts.failures += 1
        return this.#notAsked(undecided(reason, 'invalid'), asking)
      case 'ENGINE_CLOSED':
        this.counts.failures += 1
        return undecided(reason, 'engine-closed')
      default:
        this.counts.failures += 1
        if (code !== 'PLUGIN_FAILED') this.#reports.report(error, hookpoint)
        return { ...undecided(reason), reached: asking.reached }
    }
  }
}

function raisedFailure(error: unknown): Failure | undefined {
  const { code, cause } = (error ?? {}) as { readonly code?: unknown; readonly cause?: unknown }
  return code === 'PLUGIN_FAILED' ? (cause as Failure) : undefined
}

/** Its time went by while it waited for its lane: the plugin knows nothing of it. */
function hasNotBegun(failure: Failure | undefined): boolean {
  return failure !== undefined && failure.ranMs === 0 && (failure.kind === 'timeout' || failure.kind === 'overload')
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
