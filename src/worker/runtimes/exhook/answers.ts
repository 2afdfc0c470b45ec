/**
 * What a provider answers, read and checked: which hooks it wants, and what a valued response says. Nothing that it says
 * is believed unread. A value of the wrong kind, or none, is IGNORE, as EMQX has it. Pure; the lane's thread.
 */
import { type ErrorCode, HookringError } from '../../../contracts/errors.js'
import { EXHOOK_RPCS, type ExhookVersion } from '../../../contracts/exhook/rpcs.js'
import { isTopicFilter, isTopicName } from '../../../contracts/mqtt-topics.js'
import { compileTopics, type TopicTest } from './topics.js'
import type { WireMessage } from './wire.js'

/** The hooks that a provider wants, by subject, each with what it wants to hear of. */
export type Mounted = ReadonlyMap<string, TopicTest>

/** `isFinal`: nobody else is to be asked. */
export interface BoolAnswer {
  readonly value: boolean
  readonly isFinal: boolean
  /** Why not, where the provider has said it. */
  readonly reason?: string
}

/** What of a message is taken back. */
export interface MessageAnswer {
  readonly isBlocked: boolean
  readonly qos: 0 | 1 | 2
  readonly topic: string
  readonly payload: Uint8Array
  readonly isFinal: boolean
  /** Why it is blocked, where the provider has said it. */
  readonly reason?: string
}

/** An answer as it was read. `problem`: what the provider sent in place of one, which is taken for IGNORE. */
export interface Read<Answer> {
  /** Undefined: the provider has no say in it (IGNORE). */
  readonly answer: Answer | undefined
  readonly problem: string | null
}

const CONTINUE = 0
const IGNORE = 1
const STOP_AND_RETURN = 2

const IGNORED = { answer: undefined, problem: null } as const

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

/** @throws HookringError EVENT_INVALID for a type that there is none of */
export function readBool(reply: WireMessage, method: string): Read<BoolAnswer> {
  const isFinal = readType(reply, method)
  if (isFinal === undefined) return IGNORED
  if (reply.value !== 'boolResult') return ignored(method, `has no bool_result but ${carried(reply)}`)
  return { answer: { value: reply.boolResult === true, isFinal }, problem: null }
}

/** @throws HookringError EVENT_INVALID for a type that there is none of, a QoS or a topic that no message can have */
export function readMessage(reply: WireMessage, method: string): Read<MessageAnswer> {
  const isFinal = readType(reply, method)
  if (isFinal === undefined) return IGNORED
  if (reply.value !== 'message') return ignored(method, `has no message but ${carried(reply)}`)
  const { qos, topic, payload, headers } = reply.message as {
    qos: number
    topic: string
    payload: Uint8Array
    headers: Readonly<Record<string, string>>
  }
  const isBlocked = headers.allow_publish === 'false'
  if (!isBlocked) {
    if (qos !== 0 && qos !== 1 && qos !== 2) throw invalid(method, `has a message with QoS ${qos}`)
    if (!isTopicName(topic)) throw invalid(method, `has a message for ${quote(topic)}, which is no topic`)
  }
  return { answer: { isBlocked, qos: qos as 0 | 1 | 2, topic, payload, isFinal }, problem: null }
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

function ignored(method: string, problem: string): Read<never> {
  return { answer: undefined, problem: `${method}: what the provider answered ${problem}` }
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
