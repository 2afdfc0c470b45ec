/**
 * The delivery service's memory: accounts, sessions, channels and message queues, each bounded. One per server, on its
 * thread; nothing here waits but `waitForMessage`, and nothing survives the process.
 */
import { randomBytes } from 'node:crypto'

export interface Account {
  readonly username: string
  readonly identityKey: Uint8Array
  readonly salt: Uint8Array
  readonly passwordHash: Uint8Array
}

export interface Channel {
  readonly id: Uint8Array
  readonly members: readonly [Uint8Array, Uint8Array]
}

export interface StoredMessage {
  readonly recipientKey: Uint8Array
  readonly channelId: Uint8Array
  /** null: sealed sender. */
  readonly senderIdentity: Uint8Array | null
  readonly payload: Uint8Array
  readonly seq: bigint
}

export interface StoreLimits {
  accounts: number
  sessions: number
  channels: number
  /** Messages that wait for one recipient in one channel. */
  queueMessages: number
  /** Payload bytes that wait, all queues together. */
  queuedBytes: number
  waiters: number
}

export const STORE_LIMITS: StoreLimits = {
  accounts: 10_000,
  sessions: 20_000,
  channels: 50_000,
  queueMessages: 10_000,
  queuedBytes: 256 * 1024 * 1024,
  waiters: 10_000,
}

interface Queue {
  readonly messages: StoredMessage[]
  readonly waiters: Set<() => void>
}

export type DeliveryStore = ReturnType<typeof createDeliveryStore>

export function createDeliveryStore(overrides: Partial<StoreLimits> = {}) {
  const limits = { ...STORE_LIMITS, ...overrides }
  const accounts = new Map<string, Account>()
  const accountsByKey = new Map<string, Account>()
  const sessions = new Map<string, Account>()
  const channels = new Map<string, Channel>()
  const channelsByPair = new Map<string, Channel>()
  const sequences = new Map<string, bigint>()
  const queues = new Map<string, Queue>()
  let queuedBytes = 0
  let waiterCount = 0
  let isClosing = false

  const queueOf = (recipientKey: Uint8Array, channelId: Uint8Array) => {
    const key = textOf(channelId) + textOf(recipientKey)
    let queue = queues.get(key)
    if (queue === undefined) {
      // As many queues as channels have sides: bounded by `limits.channels`.
      queue = { messages: [], waiters: new Set() }
      queues.set(key, queue)
    }
    return queue
  }

  return {
    account: (username: string) => accounts.get(username),
    accountByKey: (identityKey: Uint8Array) => accountsByKey.get(textOf(identityKey)),
    channel: (channelId: Uint8Array) => channels.get(textOf(channelId)),
    session: (token: string) => sessions.get(token),

    addAccount(account: Account): 'added' | 'taken' | 'full' {
      const key = textOf(account.identityKey)
      if (accounts.has(account.username) || accountsByKey.has(key)) return 'taken'
      if (accounts.size >= limits.accounts) return 'full'
      accounts.set(account.username, account)
      accountsByKey.set(key, account)
      return 'added'
    },

    /** Opens a session; past the limit the oldest one ends. */
    openSession(account: Account): string {
      const oldest = sessions.keys().next()
      if (sessions.size >= limits.sessions && !oldest.done) sessions.delete(oldest.value)
      const token = randomBytes(32).toString('base64url')
      sessions.set(token, account)
      return token
    },

    /** The channel between two keys, whichever of them asks. */
    findOrCreateChannel(a: Uint8Array, b: Uint8Array): { channel: Channel; wasNew: boolean } | 'full' {
      const pair = [textOf(a), textOf(b)].sort().join('')
      const found = channelsByPair.get(pair)
      if (found !== undefined) return { channel: found, wasNew: false }
      if (channels.size >= limits.channels) return 'full'
      const channel: Channel = { id: randomBytes(16), members: [a, b] }
      channels.set(textOf(channel.id), channel)
      channelsByPair.set(pair, channel)
      return { channel, wasNew: true }
    },

    /** The channel's next sequence number, from 1. A message that is refused leaves a gap. */
    nextSeq(channelId: Uint8Array): bigint {
      const key = textOf(channelId)
      const seq = (sequences.get(key) ?? 0n) + 1n
      sequences.set(key, seq)
      return seq
    },

    enqueue(message: StoredMessage): 'stored' | 'full' {
      const { messages, waiters } = queueOf(message.recipientKey, message.channelId)
      if (messages.length >= limits.queueMessages) return 'full'
      if (queuedBytes + message.payload.byteLength > limits.queuedBytes) return 'full'
      // Verdicts may come in another order than sequence numbers were given out.
      let at = messages.length
      while (at > 0 && (messages[at - 1] as StoredMessage).seq > message.seq) at--
      messages.splice(at, 0, message)
      queuedBytes += message.payload.byteLength
      for (const wake of waiters) wake()
      return 'stored'
    },

    /** Takes messages off a queue, lowest sequence number first: one at least, if there is one, then up to the limits. */
    take(recipientKey: Uint8Array, channelId: Uint8Array, most: { messages: number; bytes: number }): StoredMessage[] {
      const { messages } = queueOf(recipientKey, channelId)
      let count = 0
      let bytes = 0
      while (count < Math.min(messages.length, most.messages)) {
        bytes += (messages[count] as StoredMessage).payload.byteLength
        if (count > 0 && bytes > most.bytes) break
        count++
      }
      const taken = messages.splice(0, count)
      for (const message of taken) queuedBytes -= message.payload.byteLength
      return taken
    },

    /** Resolves when the queue has a message, the time is over, the signal aborts or the store closes. */
    async waitForMessage(recipientKey: Uint8Array, channelId: Uint8Array, timeoutMs: number, signal: AbortSignal) {
      const { messages, waiters } = queueOf(recipientKey, channelId)
      if (messages.length > 0 || signal.aborted || isClosing || timeoutMs <= 0) return 'done'
      if (waiterCount >= limits.waiters) return 'full'
      waiterCount++
      await new Promise<void>((resolve) => {
        const wake = () => {
          clearTimeout(timer)
          signal.removeEventListener('abort', wake)
          waiters.delete(wake)
          resolve()
        }
        const timer = setTimeout(wake, timeoutMs)
        signal.addEventListener('abort', wake)
        waiters.add(wake)
      })
      waiterCount--
      return 'done'
    },

    /** Ends all waiting, now and from now on. */
    close() {
      isClosing = true
      for (const { waiters } of queues.values()) for (const wake of waiters) wake()
    },
  }
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
}
