/**
 * What a provider answers, read and checked: which hooks it wants, and what a valued response says. Nothing that it says
 * is believed unread. Pure; the lane's thread.
 */
import { type ErrorCode, HookringError } from '../../../contracts/errors.js'
import { EXHOOK_RPCS, type ExhookVersion } from '../../../contracts/exhook/rpcs.js'
import { isTopicFilter } from '../../../contracts/mqtt-topics.js'
import { compileTopics, type TopicTest } from './topics.js'
import type { WireMessage } from './wire.js'

/** The hooks that a provider wants, by subject, each with what it wants to hear of. */
export type Mounted = ReadonlyMap<string, TopicTest>

/** `isFinal`: nobody else is to be asked. */
export interface BoolAnswer {
  readonly value: boolean
  readonly isFinal: boolean
}

/** What of a message is taken back. */
export interface MessageAnswer {
  readonly isBlocked: boolean
  readonly qos: 0 | 1 | 2
  readonly topic: string
  readonly payload: Uint8Array
  readonly isFinal: boolean
}

const CONTINUE = 0
const IGNORE = 1
const STOP_AND_RETURN = 2

const MAX_TOPIC_BYTES = 65_535

/**
 * @param who begins the messages of errors
 * @throws HookringError PROVIDER_HOOK_UNKNOWN, PROVIDER_INVALID
 */
export function readHooks(reply: WireMessage, version: ExhookVersion, who: string): Mounted {
  const known = new Map(EXHOOK_RPCS[version].flatMap(({ hook, subject }) => (hook === null ? [] : [[hook, subject]])))
  const wanted = new Map<string, string[]>()
  for (const { name, topics } of (reply.hooks ?? []) as readonly { name: string; topics: readonly string[] }[]) {
    const subject = known.get(name)
    if (subject === undefined) {
      const hooks = [...known.keys()].join(', ')
      throw refusal(
        'PROVIDER_HOOK_UNKNOWN',
        `${who} asks for the hook ${quote(name)}, which version ${version} of its protocol does not have; it has ${hooks}`,
      )
    }
    // Only messages have topics.
    const filters = name.startsWith('message.') ? topics : []
    const wrong = filters.find((filter) => !isTopicFilter(filter))
    if (wrong !== undefined) {
      throw refusal('PROVIDER_INVALID', `${who} asks for ${name} of ${quote(wrong)}, which is no topic filter`)
    }
    const before = wanted.get(subject)
    // Named twice: what either wants. No filter is all topics.
    wanted.set(
      subject,
      before === undefined ? [...filters] : before.length === 0 || filters.length === 0 ? [] : [...before, ...filters],
    )
  }
  return new Map([...wanted].map(([subject, filters]) => [subject, compileTopics(filters)]))
}

/** Undefined: the provider has no say in it (IGNORE). @throws HookringError EVENT_INVALID */
export function readBool(reply: WireMessage, method: string): BoolAnswer | undefined {
  const isFinal = readType(reply, method)
  if (isFinal === undefined) return undefined
  if (reply.value !== 'boolResult') throw invalid(method, `has no bool_result but ${carried(reply)}`)
  return { value: reply.boolResult === true, isFinal }
}

/** Undefined: the provider has no say in it (IGNORE). @throws HookringError EVENT_INVALID */
export function readMessage(reply: WireMessage, method: string): MessageAnswer | undefined {
  const isFinal = readType(reply, method)
  if (isFinal === undefined) return undefined
  if (reply.value !== 'message') throw invalid(method, `has no message but ${carried(reply)}`)
  const { qos, topic, payload, headers } = reply.message as {
    qos: number
    topic: string
    payload: Uint8Array
    headers: Readonly<Record<string, string>>
  }
  const isBlocked = headers.allow_publish === 'false'
  if (!isBlocked) {
    if (qos !== 0 && qos !== 1 && qos !== 2) throw invalid(method, `has a message with QoS ${qos}`)
    if (topic === '' || /[+#\0]/.test(topic) || Buffer.byteLength(topic) > MAX_TOPIC_BYTES) {
      throw invalid(method, `has a message for ${quote(topic)}, which is no topic`)
    }
  }
  return { isBlocked, qos: qos as 0 | 1 | 2, topic, payload, isFinal }
}

/** What the version calls the hooks of these subjects. */
export function hookNames(subjects: readonly string[], version: ExhookVersion): string {
  return subjects
    .map((subject) => EXHOOK_RPCS[version].find((rpc) => rpc.subject === subject)?.hook ?? subject)
    .join(', ')
}

function readType({ type }: WireMessage, method: string): boolean | undefined {
  switch (type) {
    case CONTINUE:
      return false
    case STOP_AND_RETURN:
      return true
    case IGNORE:
      return undefined
    default:
      throw invalid(method, `has the type ${String(type)}; there are 0 (CONTINUE), 1 (IGNORE) and 2 (STOP_AND_RETURN)`)
  }
}

function carried({ value }: WireMessage): string {
  return value === undefined ? 'nothing' : value === 'boolResult' ? 'a bool_result' : 'a message'
}

function invalid(method: string, problem: string): HookringError {
  return refusal('EVENT_INVALID', `${method}: what the provider answered ${problem}`)
}

function refusal(code: ErrorCode, message: string): HookringError {
  return new HookringError(code, message)
}

function quote(text: string): string {
  return JSON.stringify(text.slice(0, 200))
}
