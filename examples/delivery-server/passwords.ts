/** Passwords of the example: salted scrypt, compared in constant time. quicprochat uses OPAQUE here. */
import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'

const HASH_BYTES = 32
const derive = promisify<string, Uint8Array, number, { N: number }, Buffer>(scrypt)

export interface HashedPassword {
  readonly salt: Uint8Array
  readonly passwordHash: Uint8Array
}

// Checked in place of a missing account's, so that an unknown name takes as long as a wrong password.
const NOBODY: HashedPassword = { salt: randomBytes(16), passwordHash: randomBytes(HASH_BYTES) }

export async function hashPassword(password: string): Promise<HashedPassword> {
  const salt = randomBytes(16)
  return { salt, passwordHash: await hash(password, salt) }
}

export async function isPasswordOf(account: HashedPassword | undefined, password: string): Promise<boolean> {
  const { salt, passwordHash } = account ?? NOBODY
  return timingSafeEqual(await hash(password, salt), passwordHash)
}

function hash(password: string, salt: Uint8Array): Promise<Buffer> {
  return derive(password, salt, HASH_BYTES, { N: 4096 })
}
