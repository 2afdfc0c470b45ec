/**
 * Checks a plugin's bytes against a subresource-integrity value (https://www.w3.org/TR/SRI/): of the hashes that it lists,
 * those of the strongest algorithm count, and one of them must match. Pure; on the host's thread, before anything runs.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { HookringError } from '../../contracts/errors.js'

const STRENGTH = ['sha512', 'sha384', 'sha256'] as const

/** @throws HookringError INTEGRITY_MISMATCH, with the hash that the bytes have */
export function checkIntegrity(bytes: Uint8Array, integrity: string, path: string): void {
  const hashes = integrity.trim().split(/\s+/)
  const algorithm = STRENGTH.find((name) => hashes.some((hash) => hash.startsWith(`${name}-`)))
  if (algorithm === undefined) {
    throw new HookringError('OPTIONS_INVALID', `plugin ${path}: integrity names no sha256, sha384 or sha512 hash`, {
      path: ['integrity'],
    })
  }
  const digest = createHash(algorithm).update(bytes).digest()
  const isMatch = hashes.some((hash) => {
    if (!hash.startsWith(`${algorithm}-`)) return false
    const wanted = Buffer.from(hash.slice(algorithm.length + 1), 'base64')
    return wanted.length === digest.length && timingSafeEqual(wanted, digest)
  })
  if (isMatch) return
  throw new HookringError(
    'INTEGRITY_MISMATCH',
    `plugin ${path} is not what its integrity says: it has ${algorithm}-${digest.toString('base64')}`,
    { path: ['integrity'] },
  )
}
