/**
 * The delivery service's RPCs, and the places where they ask or tell hooks: after validation, before storage for the gate;
 * after the operation for the others. On the server's thread.
 */
import { setMaxListeners } from 'node:events'
import { type handleUnaryCall, type ServerUnaryCall, type StatusObject, status } from '@grpc/grpc-js'
import { CHANNEL_ID_BYTES, type GateVerdict, IDENTITY_KEY_BYTES, type MessageEventInput } from 'hookring/contracts'
import { errorStatus, rejectStatus } from 'hookring/grpc'
import { hashPassword, isPasswordOf } from './passwords.js'
import type { DeliveryRpcs, EnqueueRequest, FetchReply } from './protocol.js'
import type { Account, DeliveryStore, StoredMessage } from './store.js'

export interface AskOptions {
  signal?: AbortSignal
  timeoutMs?: number
}

/** The hooks of delivery@1 as this server fires them: an engine's `hooks`, or any object with these methods. */
export interface DeliveryHooks {
  onMessageEnqueue(event: MessageEventInput, options?: AskOptions): PromiseLike<GateVerdict> | GateVerdict
  onBatchEnqueue(event: { events: MessageEventInput[] }): void
  onAuth(event: { username: string; success: boolean; failureReason: string }): void
  onChannelCreated(event: ChannelFields): void
  onFetch(event: { recipientKey: Uint8Array; channelId: Uint8Array; messageCount: number }): void
  onUserRegistered(event: { username: string; identityKey: Uint8Array }): void
}

interface ChannelFields {
  channelId: Uint8Array
  initiatorKey: Uint8Array
  peerKey: Uint8Array
  wasNew: boolean
}

export interface ServiceOptions {
  hooks: DeliveryHooks
  store: DeliveryStore
  /** Told of what no RPC expects. */
  onError: (error: unknown) => void
}

const MAX_PAYLOAD_BYTES = 1024 * 1024
const MAX_NAME_CHARS = 64
const MAX_PASSWORD_CHARS = 256
const MAX_BATCH = 256
const MAX_FETCH = 1000
const MAX_WAIT_MS = 60_000
/** Payloads in one reply: below the 4 MiB that gRPC clients accept by default. */
const MAX_FETCH_BYTES = 3 * 1024 * 1024

type Call = ServerUnaryCall<unknown, unknown>
type Handlers = { [Name in keyof DeliveryRpcs]: handleUnaryCall<DeliveryRpcs[Name][0], DeliveryRpcs[Name][1]> }

/** The service's handlers, and `drain`, which refuses new RPCs and resolves when the running ones have ended. */
export function createDeliveryService({ hooks, store, onError }: ServiceOptions) {
  let running = 0
  let isDraining = false
  let onIdle = () => {}

  const unary =
    <Request, Reply>(
      handle: (request: Request, call: Call) => Promise<Reply> | Reply,
    ): handleUnaryCall<Request, Reply> =>
    async (call, respond) => {
      if (isDraining) return respond(failure(status.UNAVAILABLE, 'the server is shutting down'))
      running++
      try {
        respond(null, await handle(call.request, call as Call))
      } catch (error) {
        respond(isFailure(error) ? error : unexpected(error, onError))
      } finally {
        if (--running === 0) onIdle()
      }
    }

  const sessionOf = (call: Call): Account => {
    const [header] = call.metadata.get('authorization')
    const token = /^Bearer (.+)$/.exec(String(header ?? ''))?.[1]
    const account = token === undefined ? undefined : store.session(token)
    if (account === undefined) throw failure(status.UNAUTHENTICATED, 'no valid session')
    return account
  }

  /** Checks a message before any hook sees it. */
  const validate = (request: EnqueueRequest, sender: Account | null): Omit<StoredMessage, 'seq'> => {
    const { recipientKey, channelId, payload } = request
    needBytes('recipient_key', recipientKey, IDENTITY_KEY_BYTES)
    needBytes('channel_id', channelId, CHANNEL_ID_BYTES)
    need(
      payload.byteLength > 0 && payload.byteLength <= MAX_PAYLOAD_BYTES,
      `payload must be 1 to ${MAX_PAYLOAD_BYTES} bytes`,
    )
    const members = membersOf(channelId)
    if (!members.some((key) => isSame(key, recipientKey)))
      throw failure(status.NOT_FOUND, 'no such recipient in this channel')
    if (sender !== null && !members.some((key) => isSame(key, sender.identityKey))) {
      throw failure(status.NOT_FOUND, 'no such channel')
    }
    return { recipientKey, channelId, payload, senderIdentity: sender?.identityKey ?? null }
  }

  const membersOf = (channelId: Uint8Array) => {
    const channel = store.channel(channelId)
    if (channel === undefined) throw failure(status.NOT_FOUND, 'no such channel')
    return channel.members
  }

  const senderOf = (request: EnqueueRequest, call: Call) => (request.sealedSender ? null : sessionOf(call))

  const deliver = (message: StoredMessage, verdict: GateVerdict) => {
    if (verdict.kind === 'reject') throw rejectStatus(verdict, { hookpoint: 'onMessageEnqueue' })
    if (store.enqueue(message) === 'full') throw failure(status.RESOURCE_EXHAUSTED, "the recipient's queue is full")
  }

  const fetch = (account: Account, channelId: Uint8Array, limit: number): FetchReply => {
    const messages = store.take(account.identityKey, channelId, { messages: limit, bytes: MAX_FETCH_BYTES })
    hooks.onFetch({ recipientKey: account.identityKey, channelId, messageCount: messages.length })
    return {
      messages: messages.map(({ seq, senderIdentity, payload }) => ({
        seq: seq.toString(),
        senderIdentity: senderIdentity ?? new Uint8Array(0),
        payload,
      })),
    }
  }

  const checkFetch = (channelId: Uint8Array, call: Call): Account => {
    const account = sessionOf(call)
    needBytes('channel_id', channelId, CHANNEL_ID_BYTES)
    if (!membersOf(channelId).some((key) => isSame(key, account.identityKey))) {
      throw failure(status.NOT_FOUND, 'no such channel')
    }
    return account
  }

  const handlers: Handlers = {
    Register: unary(async ({ username, password, identityKey }) => {
      need(
        /^[\p{L}\p{N}._-]+$/u.test(username) && username.length <= MAX_NAME_CHARS,
        'username must be 1 to 64 letters, digits, . _ -',
      )
      need(
        password.length > 0 && password.length <= MAX_PASSWORD_CHARS,
        `password must be 1 to ${MAX_PASSWORD_CHARS} characters`,
      )
      needBytes('identity_key', identityKey, IDENTITY_KEY_BYTES)
      const added = store.addAccount({ username, identityKey, ...(await hashPassword(password)) })
      if (added === 'taken') throw failure(status.ALREADY_EXISTS, 'the username or the key is taken')
      if (added === 'full') throw failure(status.RESOURCE_EXHAUSTED, 'no more accounts')
      hooks.onUserRegistered({ username, identityKey })
      return {}
    }),

    Login: unary(async ({ username, password }) => {
      need(
        username.length > 0 && username.length <= MAX_NAME_CHARS,
        `username must be 1 to ${MAX_NAME_CHARS} characters`,
      )
      need(password.length <= MAX_PASSWORD_CHARS, `password must be at most ${MAX_PASSWORD_CHARS} characters`)
      const account = store.account(username)
      const isRight = await isPasswordOf(account, password)
      if (account === undefined || !isRight) {
        const failureReason = account === undefined ? 'unknown user' : 'wrong password'
        hooks.onAuth({ username, success: false, failureReason })
        // The hooks learn which it was; the client must not.
        throw failure(status.UNAUTHENTICATED, 'wrong username or password')
      }
      const sessionToken = store.openSession(account)
      hooks.onAuth({ username, success: true, failureReason: '' })
      return { sessionToken }
    }),

    CreateChannel: unary(({ peerKey }, call) => {
      const { identityKey } = sessionOf(call)
      needBytes('peer_key', peerKey, IDENTITY_KEY_BYTES)
      need(!isSame(peerKey, identityKey), 'peer_key must be the key of another user')
      if (store.accountByKey(peerKey) === undefined) throw failure(status.NOT_FOUND, 'no user has this key')
      const result = store.findOrCreateChannel(identityKey, peerKey)
      if (result === 'full') throw failure(status.RESOURCE_EXHAUSTED, 'no more channels')
      const { channel, wasNew } = result
      hooks.onChannelCreated({ channelId: channel.id, initiatorKey: identityKey, peerKey, wasNew })
      return { channelId: channel.id, wasNew }
    }),

    Enqueue: unary(async (request, call) => {
      const checked = validate(request, senderOf(request, call))
      const message = { ...checked, seq: store.nextSeq(checked.channelId) }
      const verdict = await hooks.onMessageEnqueue(eventOf(message), askOptions(call))
      if (call.cancelled) throw failure(status.CANCELLED, 'the client has gone')
      deliver(message, verdict)
      return { seq: message.seq.toString() }
    }),

    // Validation refuses a batch as a whole, before any hook is asked. From there on each message stands for itself.
    BatchEnqueue: unary(async ({ messages: requests }, call) => {
      need(requests.length > 0 && requests.length <= MAX_BATCH, `a batch has 1 to ${MAX_BATCH} messages`)
      const checked = requests.map((request) => validate(request, senderOf(request, call)))
      const messages = checked.map((message) => ({ ...message, seq: store.nextSeq(message.channelId) }))
      const options = askOptions(call)
      // All in one turn: they cross to the plugins together.
      const asked = messages.map(async (message) => hooks.onMessageEnqueue(eventOf(message), options))
      const verdicts = await Promise.allSettled(asked)
      if (call.cancelled) throw failure(status.CANCELLED, 'the client has gone')
      const enqueued: MessageEventInput[] = []
      const results = messages.map((message, index) => {
        const settled = verdicts[index] as PromiseSettledResult<GateVerdict>
        try {
          if (settled.status === 'rejected') throw settled.reason
          deliver(message, settled.value)
          enqueued.push(eventOf(message))
          return { seq: message.seq.toString(), code: status.OK, reason: '' }
        } catch (error) {
          const { code, details } = isFailure(error) ? error : unexpected(error, onError)
          return { seq: '0', code, reason: details }
        }
      })
      if (enqueued.length > 0) hooks.onBatchEnqueue({ events: enqueued })
      return { results }
    }),

    Fetch: unary(({ channelId, limit }, call) => {
      const account = checkFetch(channelId, call)
      return fetch(account, channelId, limitOf(limit))
    }),

    FetchWait: unary(async ({ channelId, limit, timeoutMs }, call) => {
      const account = checkFetch(channelId, call)
      const waited = await store.waitForMessage(
        account.identityKey,
        channelId,
        Math.min(timeoutMs, MAX_WAIT_MS),
        signalOf(call),
      )
      if (waited === 'full') throw failure(status.RESOURCE_EXHAUSTED, 'too many clients are waiting')
      if (call.cancelled) throw failure(status.CANCELLED, 'the client has gone')
      return fetch(account, channelId, limitOf(limit))
    }),

    Ping: unary(() => ({ serverTimeMs: Date.now().toString() })),
  }

  return {
    handlers,
    /** Refuses new RPCs, ends waiting fetches and resolves when no RPC is running. */
    drain(): Promise<void> {
      store.close()
      return new Promise((resolve) => {
        isDraining = true
        onIdle = resolve
        if (running === 0) resolve()
      })
    },
  }
}

type Failure = Pick<StatusObject, 'code' | 'details'> & Partial<StatusObject>

function failure(code: status, details: string): Failure {
  return { code, details }
}

function isFailure(error: unknown): error is Failure {
  return (
    typeof error === 'object' &&
    error !== null &&
    'details' in error &&
    'code' in error &&
    typeof error.code === 'number'
  )
}

function unexpected(error: unknown, onError: (error: unknown) => void): Failure {
  const known = errorStatus(error)
  if (known.code === status.INTERNAL) onError(error)
  return known
}

function need(condition: boolean, problem: string): void {
  if (!condition) throw failure(status.INVALID_ARGUMENT, problem)
}

function needBytes(field: string, value: Uint8Array, bytes: number): void {
  need(value.byteLength === bytes, `${field} must be ${bytes} bytes, got ${value.byteLength}`)
}

function limitOf(limit: number): number {
  return limit === 0 ? MAX_FETCH : Math.min(limit, MAX_FETCH)
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}

function eventOf({ senderIdentity, recipientKey, channelId, payload, seq }: StoredMessage): MessageEventInput {
  return { senderIdentity, recipientKey, channelId, payloadLen: payload.byteLength, seq }
}

function signalOf(call: Call): AbortSignal {
  const controller = new AbortController()
  // Each message of a batch listens.
  setMaxListeners(0, controller.signal)
  if (call.cancelled) controller.abort()
  else call.once('cancelled', () => controller.abort())
  return controller.signal
}

/** The client's cancellation and deadline reach the hooks. */
function askOptions(call: Call): AskOptions {
  const deadline = call.getDeadline()
  const remainingMs = (typeof deadline === 'number' ? deadline : deadline.getTime()) - Date.now()
  const signal = signalOf(call)
  return Number.isFinite(remainingMs) ? { signal, timeoutMs: Math.max(1, remainingMs) } : { signal }
}
