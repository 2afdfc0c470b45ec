/**
 * The contracts exhook@1 to @3 for a provider of any version: a hookpoint is an RPC, an event its request. The contracts
 * have the names of the wire, so that little is left to do. Pure; the lane's thread.
 */
import { EXHOOK_RPCS, type ExhookVersion } from '../../../contracts/exhook/rpcs.js'
import { type Reject, type Replace, reject, replace } from '../../../plugin/index.js'
import type { Asked, Exchange, Exchanges } from './exchange.js'
import type { WireMessage } from './wire.js'

/** An event of any of the three contracts, as far as this has to look into it. */
interface ExhookEvent {
  readonly clientinfo?: { readonly clientid: string }
  readonly conninfo?: { readonly clientid: string }
  readonly message?: MessageFields
  readonly topicFilters?: readonly TopicFilterFields[]
  readonly result?: boolean
}

interface MessageFields {
  readonly from: string
  readonly qos: number
  readonly topic: string
  readonly payload: Uint8Array
  readonly timestamp: bigint
}

interface TopicFilterFields {
  readonly qos?: number
  readonly subopts?: { readonly qos: number }
}

export function exhookExchanges(version: ExhookVersion): Exchanges {
  const hooks = EXHOOK_RPCS[version].filter(({ hook }) => hook !== null)
  return Object.fromEntries(
    hooks.map(({ hookpoint, subject, isValued }): [string, Exchange<ExhookEvent>] => [
      hookpoint,
      {
        subjects: [subject],
        clientOf: (event) => (event.clientinfo ?? event.conninfo)?.clientid ?? event.message?.from ?? '',
        ...(subject.startsWith('OnMessage') ? { topicOf } : {}),
        run: !isValued
          ? async (event, provider) => {
              await provider.tell(subject, requestOf(event))
              return undefined
            }
          : subject === 'OnMessagePublish'
            ? (event, provider) => publish(subject, event, provider)
            : (event, provider) => decide(subject, event, provider),
      },
    ]),
  )
}

function topicOf({ message }: ExhookEvent): string {
  return message?.topic ?? ''
}

async function decide(
  subject: string,
  event: ExhookEvent,
  provider: Asked,
): Promise<Reject | Replace<unknown> | undefined> {
  const answer = await provider.askBool(subject, requestOf(event))
  if (answer === undefined) return undefined
  const { value: result, isFinal } = answer
  if (isFinal && !result) return reject(answer.reason ?? `${subject}: the provider says no`)
  return !isFinal && result === event.result ? undefined : replace({ ...event, result, isFinal })
}

async function publish(
  subject: string,
  event: ExhookEvent,
  provider: Asked,
): Promise<Reject | Replace<unknown> | undefined> {
  const answer = await provider.askMessage(subject, requestOf(event))
  if (answer === undefined) return undefined
  const { isBlocked, isFinal, qos, topic, payload } = answer
  if (isBlocked) return reject(answer.reason ?? `${subject}: the provider does not allow the message to be published`)
  const before = event.message as MessageFields
  const isSame = qos === before.qos && topic === before.topic && Buffer.compare(payload, before.payload) === 0
  return isSame && !isFinal ? undefined : replace({ ...event, message: { ...before, qos, topic, payload }, isFinal })
}

/** Fields that the provider's version does not have are left out when it is written. */
function requestOf(event: ExhookEvent): WireMessage {
  const { message, topicFilters } = event
  return {
    ...event,
    ...(message === undefined ? {} : { message: { ...message, timestamp: String(message.timestamp) } }),
    ...(topicFilters === undefined ? {} : { topicFilters: topicFilters.map(withBothQos) }),
  }
}

/** Older versions have the QoS in the filter, newer ones among its options. */
function withBothQos(filter: TopicFilterFields): TopicFilterFields {
  const qos = filter.subopts?.qos ?? filter.qos ?? 0
  return { ...filter, qos, subopts: filter.subopts ?? { qos } }
}
