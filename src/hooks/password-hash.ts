/**
 * Passwords, compared in constant time: plain ones and scrypt hashes. hashPassword is for operators, on any thread; the
 * rest is used by the auth plugin in its lane.
 */
import { createHmac, randomBytes, type ScryptOptions, scrypt, timingSafeEqual } from 'node:crypto'

/** 16 MiB and some 50 ms a login: what a broker that takes many clients can pay. */
const COST = { N: 16_384, r: 8, p: 1 } as const
/** A hash of the config may ask for this much memory at most. */
const MAX_MEMORY_BYTES = 256 * 1024 * 1024
const OWN_FORM = /^scrypt\$(\d{1,8})\$(\d{1,3})\$(\d{1,3})\$([\w+/=-]+)\$([\w+/=-]+)$/
const PHC_FORM = /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,3}),p=(\d{1,3})\$([\w+/=-]+)\$([\w+/=-]+)$/

export interface ScryptHash {
  readonly cost: { readonly N: number; readonly r: number; readonly p: number }
  readonly salt: Buffer
  readonly hash: Buffer
}

/** A hash to put into `credentials`: `scrypt$N$r$p$salt$hash`, salt and hash in base64. */
export async function hashPassword(password: string | Uint8Array): Promise<string> {
  const salt = randomBytes(16)
  const hash = await derive(password, { cost: COST, salt, hash: Buffer.alloc(32) })
  return `scrypt$${COST.N}$${COST.r}$${COST.p}$${salt.toString('base64')}$${hash.toString('base64')}`
}

/** Null: a plain password. @throws Error for what begins like a hash and is none */
export function parseHash(text: string): ScryptHash | null {
  if (!/^\$?scrypt\$/.test(text)) return null
  const phc = PHC_FORM.exec(text)
  const [, cost = '', r = '', p = '', salt = '', hash = ''] = phc ?? OWN_FORM.exec(text) ?? []
  const N = phc === null ? Number(cost) : 2 ** Number(cost)
  const parsed = {
    cost: { N, r: Number(r), p: Number(p) },
    salt: Buffer.from(salt, 'base64'),
    hash: Buffer.from(hash, 'base64'),
  }
  const isPower = N > 1 && Number.isInteger(Math.log2(N))
  const isBounded = memoryOf(parsed) <= MAX_MEMORY_BYTES && parsed.cost.p >= 1 && parsed.cost.p <= 16
  if (isPower && parsed.cost.r >= 1 && isBounded && parsed.hash.byteLength >= 16) return parsed
  throw new Error(
    'a scrypt hash must be scrypt$N$r$p$salt$hash or $scrypt$ln=..,r=..,p=..$salt$hash, of 256 MiB at most',
  )
}

export async function matchesHash(password: Uint8Array, expected: ScryptHash): Promise<boolean> {
  return timingSafeEqual(await derive(password, expected), expected.hash)
}

/** Texts of any length as digests of one: what they are compared by. `key` keeps digests from being worked out outside. */
export function digestOf(key: Buffer, text: string | Uint8Array): Buffer {
  return createHmac('sha256', key).update(text).digest()
}

function memoryOf({ cost: { N, r, p } }: ScryptHash): number {
  return 128 * r * (N + p + 2)
}

function derive(password: string | Uint8Array, expected: ScryptHash): Promise<Buffer> {
  const options: ScryptOptions = { ...expected.cost, maxmem: memoryOf(expected) * 2 }
  return new Promise((resolve, refuse) => {
    scrypt(password, expected.salt, expected.hash.byteLength, options, (error, derived) => {
      if (error === null) resolve(derived)
      else refuse(error)
    })
  })
}
