/**
 * Plausible events of delivery@1: a few hundred users who come back, payloads from a line of text to a file, failed
 * logins with a reason. The event generator uses them in place of events that are merely valid. Pure.
 */
import { CHANNEL_ID_BYTES, delivery, IDENTITY_KEY_BYTES } from '../../contracts/delivery.js'
import { hashOf, Random, smallUpTo } from './random.js'
import { drawWord } from './text.js'

/** Draws one event; `index` counts the events. */
export type DrawNth = (random: Random, index: number) => unknown

const USERS = 400
/** The share of events that are as odd as the schema allows, for programs that forget about those. */
const ODD_SHARE = 0.05

/** null for hookpoints of other contracts. The event's schema decides, because anyone may call a contract `delivery`. */
export function plausibleDelivery(schema: unknown, valid: DrawNth): DrawNth | null {
  const name = Object.entries(delivery.hookpoints).find(([, { event }]) => event === schema)?.[0]
  if (name === undefined) return null
  const plausible = PLAUSIBLE[name as keyof typeof delivery.hookpoints]
  return (random, index) => (random.chance(ODD_SHARE) ? valid(random, index) : plausible(random, index))
}

/** The same owner gets the same bytes, so that plugins which keep something by key meet the key again. */
function bytesOf(what: string, owner: number, length: number): Uint8Array {
  const random = new Random(hashOf(what), owner)
  return Uint8Array.from({ length }, () => random.below(256))
}

/** A few users send most of the messages. */
const drawUser = (random: Random) => smallUpTo(random, USERS)
const identityOf = (user: number) => bytesOf('identity', user, IDENTITY_KEY_BYTES)
const channelOf = (one: number, other: number) =>
  bytesOf('channel', Math.min(one, other) * USERS + Math.max(one, other), CHANNEL_ID_BYTES)
const nameOf = (user: number) => `${drawWord(new Random(hashOf('name'), user))}${user}`

function drawMessage(random: Random, seq: number): object {
  const [sender, recipient] = [drawUser(random), drawUser(random)]
  // Most are lines of text, some are pictures, a few are files.
  const bits = random.chance(0.8) ? 11 : random.chance(0.8) ? 17 : 23
  return {
    senderIdentity: random.chance(0.3) ? null : identityOf(sender),
    recipientKey: identityOf(recipient),
    channelId: channelOf(sender, recipient),
    payloadLen: 64 + Math.floor(2 ** (random.next() * bits)),
    seq: BigInt(seq),
  }
}

const REASONS = ['wrong password', 'unknown user', 'account is locked', 'too many attempts', 'expired session']

const PLAUSIBLE: Readonly<Record<keyof typeof delivery.hookpoints, DrawNth>> = {
  onMessageEnqueue: (random, index) => drawMessage(random, index + 1),
  onBatchEnqueue: (random, index) => ({
    events: Array.from({ length: 1 + smallUpTo(random, 31) }, (_, at) => drawMessage(random, index * 32 + at + 1)),
  }),
  onAuth(random) {
    const success = random.chance(0.8)
    return {
      username: nameOf(drawUser(random)),
      success,
      failureReason: success ? '' : random.pick(REASONS),
    }
  },
  onChannelCreated(random) {
    const [initiator, peer] = [drawUser(random), drawUser(random)]
    return {
      channelId: channelOf(initiator, peer),
      initiatorKey: identityOf(initiator),
      peerKey: identityOf(peer),
      wasNew: random.chance(0.6),
    }
  },
  onFetch(random) {
    const [recipient, other] = [drawUser(random), drawUser(random)]
    return {
      recipientKey: identityOf(recipient),
      channelId: channelOf(recipient, other),
      messageCount: random.chance(0.4) ? 0 : 1 + smallUpTo(random, 99),
    }
  },
  onUserRegistered(_random, index) {
    return { username: nameOf(USERS + index), identityKey: identityOf(USERS + index) }
  },
}
