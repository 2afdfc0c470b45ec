/**
 * Whose first bytes those are. Each frame before a connection is open is shorter than 64 KiB, so that its first byte is 0;
 * a peer that begins with another one speaks another protocol, and is told so in its own words as far as there are any.
 * Pure; both sides.
 */

export interface ForeignGreeting {
  /** `HTTP`, `TLS`, `kdb+`, or `another protocol`. */
  readonly protocol: string
  /** What such a client understands as a refusal; null: it is given a frame of ours. Empty: the end alone. */
  readonly reply: Buffer | null
}

const HTTP_REPLY = [
  'HTTP/1.1 400 Bad Request',
  'content-type: text/plain',
  'connection: close',
  '',
  'This port speaks the protocol of hookring/connection, not HTTP.',
  '',
].join('\r\n')

/** A fatal alert, "unexpected message": what OpenSSL and Node.js report as such. */
const TLS_ALERT = Buffer.of(0x15, 0x03, 0x01, 0x00, 0x02, 0x02, 0x0a)

/** Null: it may be a frame. @param bytes the first that have come, one at least */
export function foreignGreeting(bytes: Uint8Array): ForeignGreeting | null {
  const first = bytes[0]
  if (first === 0) return null
  const head = Buffer.from(bytes.subarray(0, HEAD_BYTES))
  if (/^(?:[A-Z]{3,8} \S|HTTP\/|PRI \*)/.test(head.toString('latin1'))) {
    return { protocol: 'HTTP', reply: Buffer.from(HTTP_REPLY) }
  }
  if ((first === 0x15 || first === 0x16) && bytes[1] === 3) return { protocol: 'TLS', reply: TLS_ALERT }
  // An answer of one byte would let such a client in.
  if (isKdb(head)) return { protocol: 'kdb+', reply: Buffer.alloc(0) }
  return { protocol: 'another protocol', reply: null }
}

const HEAD_BYTES = 1024
const MAX_KDB_CAPABILITY = 6

/** `user:password`, a capability byte, a zero. */
function isKdb(head: Buffer): boolean {
  const end = head.indexOf(0)
  if (end === -1) return false
  const hasCapability = (head[end - 1] as number) <= MAX_KDB_CAPABILITY
  return head.subarray(0, hasCapability ? end - 1 : end).every((byte) => byte >= 0x20 && byte < 0x7f)
}
