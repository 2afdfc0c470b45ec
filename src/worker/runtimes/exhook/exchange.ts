/**
 * What stands between a contract and a provider: for each hookpoint, what the provider is asked or told, and what comes of
 * it. One table for each contract that providers can serve. Types alone.
 */
import type { Reject, Replace } from '../../../plugin/index.js'
import type { BoolAnswer, MessageAnswer } from './answers.js'
import type { RequestMeta } from './meta.js'
import type { WireMessage } from './wire.js'

/** The provider, for the time of one event. Undefined: it has no say in it. */
export interface Asked {
  readonly meta: RequestMeta
  askBool(subject: string, request: WireMessage): Promise<BoolAnswer | undefined>
  askMessage(subject: string, request: WireMessage): Promise<MessageAnswer | undefined>
  tell(subject: string, request: WireMessage): Promise<void>
  /** Told beside a question: what goes wrong is logged, and is no reason to refuse. */
  tellAside(subject: string, request: WireMessage): Promise<void>
}

export interface Exchange<Event = never> {
  /** RPCs by their names in version 3; the hookpoint is mounted when the provider wants one of them. */
  readonly subjects: readonly string[]
  /** Whose turn it is: the provider gets the events of one client one after the other. */
  clientOf(event: Event): string
  /** Of hookpoints that are about one message alone: its topic. Messages that the provider does not want are not held up. */
  topicOf?(event: Event): string
  run(event: Event, provider: Asked): Promise<Reject | Replace<unknown> | undefined>
}

export type Exchanges = Readonly<Record<string, Exchange>>
