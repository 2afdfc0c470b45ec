/**
 * The events of the soak: made from the number of the call alone, so that whoever sees one can tell whether it is whole
 * and the right one. Pure; used by the run on the host's thread and by its plugins in theirs.
 */

export type SoakEvent = Record<string, unknown>

/** `welcome`: no honest plugin rejects it, so that it reaches the last of the chain. */
export type Mood = 'any' | 'welcome'

export const KEYS = 12

type Maker = (id: number, measure: number, order: Order) => SoakEvent

/** Where a partitioned observation stands in the order of its key. */
export interface Order {
  readonly key: number
  readonly seq: number
}

const MAKERS: Readonly<Record<string, Maker>> = {
  onMessageEnqueue: (id, measure) => message(id, measure),
  onBatchEnqueue: (id, measure) => ({ events: Array.from({ length: 1 + (id % 5) }, () => message(id, measure)) }),
  onAuth: (id) => ({ username: `user ${id}`, success: id % 3 !== 0, failureReason: textOf(id) }),
  onChannelCreated: (id) => ({
    channelId: filled(16, id),
    initiatorKey: filled(32, id),
    peerKey: filled(32, id + 1),
    wasNew: id % 2 === 0,
  }),
  onFetch: (id) => ({ recipientKey: filled(32, id), channelId: filled(16, id), messageCount: id }),
  onUserRegistered: (id) => ({ username: `user ${id}`, identityKey: filled(32, id) }),
  onOrder: (id, cents) => ({ id, customer: customerOf(id), cents, note: textOf(id) }),
  onShipped: (id, cents) => ({ id, customer: customerOf(id), cents, note: textOf(id) }),
  onPrice: (id, cents) => ({ id, customer: customerOf(id), cents, steps: [textOf(id)] }),
  onQuote: (id, cents) => ({ id, customer: customerOf(id), cents, sku: textOf(id) }),
  onPost: (id, size) => ({ id, key: keyName(id % KEYS), size, text: textOf(id) }),
  onNote: (id, size) => ({ id, key: keyName(id % KEYS), size, text: textOf(id) }),
  onTick: (id, _, { key, seq }) => ({ id, key: keyName(key), seq, text: textOf(id) }),
  onBlob: (id, size) => ({ id, size, body: filled((id * 7919) % 60_000, id) }),
  onAsk: (id, weight) => ({ id, weight, text: textOf(id) }),
  onTold: (id, weight) => ({ id, weight, text: textOf(id) }),
}

const NO_ORDER: Order = { key: 0, seq: 0 }

export function makeEvent(hookpoint: string, id: number, mood: Mood = 'any', order: Order = NO_ORDER): SoakEvent {
  // A quote of 2 is left to the last plugin of its chain.
  const measure =
    mood === 'welcome' ? (hookpoint === 'onQuote' ? 2 : 1) : 1 + ((Math.imul(id, 0x9e3779b1) >>> 8) % 1200)
  return makerOf(hookpoint)(id, measure, order)
}

/** The number of the call that an event belongs to. */
export function idOf(hookpoint: string, event: SoakEvent): number {
  switch (hookpoint) {
    case 'onMessageEnqueue':
      return Number(event.seq)
    case 'onBatchEnqueue':
      return Number((event.events as readonly SoakEvent[])[0]?.seq)
    case 'onAuth':
    case 'onUserRegistered':
      return Number(String(event.username).slice('user '.length))
    case 'onChannelCreated':
      return Buffer.from(event.channelId as Uint8Array).readUInt32LE()
    case 'onFetch':
      return Number(event.messageCount)
    default:
      return Number(event.id)
  }
}

/** The figure of an event by which plugins decide; 1 where it has none. */
export function measureOf(event: SoakEvent): number {
  return Number(event.cents ?? event.size ?? event.weight ?? event.payloadLen ?? 1)
}

/** Whether what a hook was given is all of one call's event, as far as it never changes on the way. */
export function isSound(hookpoint: string, event: SoakEvent): boolean {
  const id = idOf(hookpoint, event)
  switch (hookpoint) {
    case 'onMessageEnqueue':
      return isFilled(event.recipientKey, 32, id) && isFilled(event.channelId, 16, id)
    case 'onBatchEnqueue':
      return (event.events as readonly SoakEvent[]).every((one) => isSound('onMessageEnqueue', one))
    case 'onAuth':
      return event.failureReason === textOf(id)
    case 'onChannelCreated':
      return isFilled(event.initiatorKey, 32, id) && isFilled(event.peerKey, 32, id + 1)
    case 'onFetch':
      return isFilled(event.recipientKey, 32, id)
    case 'onUserRegistered':
      return isFilled(event.identityKey, 32, id)
    case 'onPrice':
      return event.customer === customerOf(id) && (event.steps as readonly string[])[0] === textOf(id)
    case 'onQuote':
      return event.customer === customerOf(id) && event.sku === textOf(id)
    case 'onBlob':
      return isFilled(event.body, (id * 7919) % 60_000, id)
    case 'onOrder':
    case 'onShipped':
      return event.customer === customerOf(id) && event.note === textOf(id)
    default:
      return event.text === textOf(id)
  }
}

/** Every tenth call carries a trace id. */
export function traceIdOf(id: number): string | undefined {
  return id % 10 === 0 ? `call ${id}` : undefined
}

export function keyName(key: number): string {
  return `key-${key}`
}

function message(id: number, payloadLen: number): SoakEvent {
  const senderIdentity = id % 4 === 0 ? null : filled(32, id)
  return { senderIdentity, recipientKey: filled(32, id), channelId: filled(16, id), payloadLen, seq: BigInt(id) }
}

function makerOf(hookpoint: string): Maker {
  const maker = MAKERS[hookpoint]
  if (maker === undefined) throw new Error(`the soak makes no events of ${hookpoint}`)
  return maker
}

function customerOf(id: number): string {
  return `${'abcdef'[id % 6]}-${id % 1000}`
}

/** Of many lengths, with characters of one, two and three bytes. */
function textOf(id: number): string {
  return `${id}:${'aé€'[id % 3]?.repeat(id % 90)}`
}

function filled(length: number, id: number): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(length)
  const words = new Uint32Array(all.buffer, 0, length >> 2)
  words.fill(id)
  return all
}

function isFilled(value: unknown, length: number, id: number): boolean {
  const all = value as Uint8Array
  if (all.length !== length) return false
  const view = new DataView(all.buffer, all.byteOffset, all.byteLength)
  // The first word, the last one, and some between.
  const step = Math.max(4, (length >> 8) << 2)
  for (let at = 0; at + 4 <= length; at += step) if (view.getUint32(at, true) !== id >>> 0) return false
  return length < 4 || view.getUint32((length & ~3) - 4, true) === id >>> 0
}
