/**
 * Asks and tells an engine of mqtt@1, and turns whatever comes of it into a decision: asking never rejects. One per
 * attached broker; host's thread only.
 */
import { inspect } from 'node:util'
import type {
  EventInput,
  MqttClientInfo,
  MqttPublishPacket,
  mqtt,
  ReplyOutput,
  Verdict,
} from '../../contracts/index.js'
import type { HookEngine } from '../../index.js'
import { Semaphore } from '../../primitives/semaphore.js'
import type { Packet, Qos } from './broker.js'
import { isPublishable } from './topics.js'

type Points = typeof mqtt.hookpoints
/** What the adapter needs of an engine. */
export type MqttEngine = Pick<
  HookEngine<Points, (typeof mqtt)['services']>,
  'contract' | 'hooks' | 'isSubscribed' | 'provide'
>

type NamesOf<Kind extends string> = {
  [Name in keyof Points & string]: Points[Name]['kind'] extends Kind ? Name : never
}[keyof Points & string]
type Asked = NamesOf<'gate' | 'transform'>
type Answered = NamesOf<'respond'>
type Told = NamesOf<'observe'>

/** What the adapter has counted since it was attached. */
export interface HookCounts {
  connectsRefused: number
  /** Filters, not packets. */
  subscriptionsRefused: number
  publishesRefused: number
  willsRefused: number
  deliveriesRefused: number
  /** Deliveries that found no room, or whose connection ended while they waited. */
  deliveriesDropped: number
  /** Retained messages that were routed but not stored. */
  retainedRefused: number
  /** Of what was refused, or not answered: where a plugin failed, or the engine could not be asked. */
  failures: number
  /** Events larger than the engine takes: refused. */
  eventsTooLarge: number
  /** Replacements and answers that no broker can use: refused. */
  repliesInvalid: number
}

export interface Refusal {
  readonly kind: 'refuse'
  readonly reason: string
  /** The plugin's MQTT reason code. */
  readonly code: number | undefined
  /** Nobody has refused it: a plugin failed, or the engine could not be asked. */
  readonly isFailure: boolean
  /** No hook has seen it, and none could. */
  readonly isTooLarge?: true
}

export type Decision<Event> =
  | { readonly kind: 'proceed'; readonly event: Event; readonly isReplaced: boolean }
  | Refusal

export type Answer<Value> = { readonly kind: 'answer'; readonly value: Value } | { readonly kind: 'none' } | Refusal

export interface Asker {
  readonly counts: HookCounts
  isSubscribed(hookpoint: keyof Points & string): boolean
  ask<Name extends Asked>(hookpoint: Name, event: EventInput<Points[Name]>): Promise<Decision<EventInput<Points[Name]>>>
  /** The same for events that carry a packet; one that a plugin changed is made sure of. */
  askPacket<Client>(
    hookpoints: readonly Asked[],
    event: { readonly client: Client; readonly packet: MqttPublishPacket },
  ): Promise<Decision<{ readonly packet: MqttPublishPacket }>>
  request<Name extends Answered>(
    hookpoint: Name,
    event: EventInput<Points[Name]>,
  ): Promise<Answer<ReplyOutput<Points[Name]>>>
  tell<Name extends Told>(hookpoint: Name, event: () => EventInput<Points[Name]>): void
  /** Tells that a message did not reach a subscriber, or (null) anybody. */
  dropped(client: MqttClientInfo | null, packet: Packet, why: Pick<Refusal, 'reason' | 'isTooLarge'>): void
  report(error: unknown, place: string): void
  /** From now on nobody subscribes to anything. */
  detach(): void
}

export interface AskerOptions {
  readonly maxCallsUnderWay: number
  onError?: ((error: unknown, place: string) => void) | undefined
}

type LooseHook = (event: unknown) => Promise<Verdict>

export function createAsker(engine: MqttEngine, { maxCallsUnderWay, onError }: AskerOptions): Asker {
  const hooks = engine.hooks as unknown as Readonly<Record<string, LooseHook>>
  const warned = new Set<string>()
  let isAttached = true
  const isSubscribed: Asker['isSubscribed'] = (hookpoint) => isAttached && engine.isSubscribed(hookpoint)
  const counts: HookCounts = {
    connectsRefused: 0,
    subscriptionsRefused: 0,
    publishesRefused: 0,
    willsRefused: 0,
    deliveriesRefused: 0,
    deliveriesDropped: 0,
    retainedRefused: 0,
    failures: 0,
    eventsTooLarge: 0,
    repliesInvalid: 0,
  }

  const report: Asker['report'] = (error, place) => {
    if (onError !== undefined) {
      try {
        onError(error, place)
        return
      } catch {
        // Falls through to the warning about the error that it was told of.
      }
    }
    if (warned.has(place)) return
    warned.add(place)
    process.emitWarning(`attachHooks, ${place}: ${inspect(error)}`, 'HookringWarning')
  }

  /** An error of asking, as a refusal: who cannot be asked has not agreed. */
  const failed = (error: unknown, hookpoint: string): Refusal => {
    const code = (error as { readonly code?: unknown } | null)?.code
    const reason = error instanceof Error ? error.message : String(error)
    switch (code) {
      case 'EVENT_TOO_LARGE':
        counts.eventsTooLarge += 1
        return { kind: 'refuse', reason, code: 0x95, isFailure: false, isTooLarge: true }
      case 'EVENT_INVALID':
        return { kind: 'refuse', reason, code: 0x83, isFailure: false }
      default:
        counts.failures += 1
        if (code !== 'ENGINE_CLOSED' && code !== 'PLUGIN_FAILED') report(error, hookpoint)
        return { kind: 'refuse', reason, code: undefined, isFailure: true }
    }
  }

  const refused = (verdict: Extract<Verdict, { kind: 'reject' }>): Refusal => {
    const isFailure = verdict.failure !== undefined
    if (isFailure) counts.failures += 1
    return { kind: 'refuse', reason: verdict.reason, code: isFailure ? undefined : verdict.code, isFailure }
  }

  /** What one message becomes for a thousand subscribers must wait its turn, not be an overload by itself. */
  const turns = new Semaphore(maxCallsUnderWay)
  const call = async (hookpoint: string, event: unknown): Promise<Verdict> => {
    if (!turns.tryAcquire()) await turns.acquire()
    try {
      return await hooks[hookpoint]!(event)
    } finally {
      turns.release()
    }
  }

  const ask: Asker['ask'] = async (hookpoint, event) => {
    try {
      const verdict = await call(hookpoint, event)
      switch (verdict.kind) {
        case 'reject':
          return refused(verdict)
        case 'replace':
          return { kind: 'proceed', event: verdict.event as typeof event, isReplaced: true }
        default:
          return { kind: 'proceed', event, isReplaced: false }
      }
    } catch (error) {
      return failed(error, hookpoint)
    }
  }

  return {
    counts,
    isSubscribed,
    ask,
    async askPacket(hookpoints, event) {
      let current = event
      let isReplaced = false
      for (const hookpoint of hookpoints) {
        if (!isSubscribed(hookpoint)) continue
        const decision = await ask(hookpoint, current as never)
        if (decision.kind === 'refuse') return decision
        if (!decision.isReplaced) continue
        const { packet } = decision.event as { readonly packet: MqttPublishPacket }
        if (packet.topic !== current.packet.topic && !isPublishable(packet.topic)) {
          counts.repliesInvalid += 1
          const reason = `${hookpoint}: a plugin gave the message the topic ${JSON.stringify(packet.topic.slice(0, 80))}`
          return { kind: 'refuse', reason, code: 0x90, isFailure: false }
        }
        current = { client: event.client, packet }
        isReplaced = true
      }
      return { kind: 'proceed', event: current, isReplaced }
    },
    async request(hookpoint, event) {
      try {
        const verdict = await call(hookpoint, event)
        if (verdict.kind === 'reject') return refused(verdict)
        return verdict.kind === 'respond' ? { kind: 'answer', value: verdict.value as never } : { kind: 'none' }
      } catch (error) {
        return failed(error, hookpoint)
      }
    },
    tell(hookpoint, event) {
      if (!isSubscribed(hookpoint)) return
      try {
        ;(hooks[hookpoint] as unknown as (event: unknown) => void)(event())
      } catch (error) {
        report(error, hookpoint)
      }
    },
    dropped(client, packet, { reason, isTooLarge }) {
      // What is too large to be asked about is too large to be told: its payload is left out.
      const told = isTooLarge ? { ...packet, payload: '' } : packet
      this.tell('onMessageDropped', () => ({ client, packet: packetOf(told), reason }))
    },
    report,
    detach() {
      isAttached = false
    },
  }
}

/** A message as hooks see it. */
export function packetOf(packet: Packet, qos: Qos = packet.qos): MqttPublishPacket {
  const { topic, payload, retain } = packet
  const bytes = typeof payload === 'string' ? Buffer.from(payload) : (payload ?? Buffer.alloc(0))
  // Applications publish with what JavaScript lets them leave out.
  return { topic, payload: bytes as Uint8Array<ArrayBuffer>, qos: qos ?? 0, retain: retain ?? false }
}

/** A message as a hook has changed it. Its identity (brokerId, brokerCounter) stays. */
export function replacedPacket(packet: Packet, { topic, payload, qos, retain }: MqttPublishPacket): Packet {
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength)
  return { ...packet, topic, payload: bytes, qos, retain }
}
