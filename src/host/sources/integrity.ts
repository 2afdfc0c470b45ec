/**
 * Checks a plugin's bytes against a subresource-integrity value (https://www.w3.org/TR/SRI/): of the hashes that it lists,
 * those of the strongest algorithm count, and one of them must match. Pure; before anything of the plugin runs, and not on
 * the server's thread, which would stand still for it.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { HookringError } from '../../contracts/errors.js'

const STRENGTH = ['sha512', 'sha384', 'sha256'] as const
export type HashAlgorithm = (typeof STRENGTH)[number]

/** @throws HookringError INTEGRITY_MISMATCH, with the hash that the bytes have */
export function checkIntegrity(bytes: Uint8Array, integrity: string, path: string): void {
  const digest = createHash(hashOf(integrity, path)).update(bytes).digest()
  checkDigest(digest, integrity, path)
}

/** The algorithm that counts. @throws HookringError OPTIONS_INVALID */
export function hashOf(integrity: string, path: string): HashAlgorithm {
  const algorithm = STRENGTH.find((name) => hashesIn(integrity).some((hash) => hash.startsWith(`${name}-`)))
  if (algorithm !== undefined) return algorithm
  throw new HookringError('OPTIONS_INVALID', `plugin ${path}: integrity names no sha256, sha384 or sha512 hash`, {
    path: ['integrity'],
  })
}

/** @param digest by the algorithm that counts. @throws HookringError INTEGRITY_MISMATCH, OPTIONS_INVALID */
export function checkDigest(digest: Uint8Array, integrity: string, path: string): void {
  const algorithm = hashOf(integrity, path)
  const isMatch = hashesIn(integrity).some((hash) => {
    if (!hash.startsWith(`${algorithm}-`)) return false
    const wanted = Buffer.from(hash.slice(algorithm.length + 1), 'base64')
    return wanted.length === digest.length && timingSafeEqual(wanted, digest)
  })
  if (isMatch) return
  throw new HookringError(
    'INTEGRITY_MISMATCH',
    `plugin ${path} is not what its integrity says: it has ${algorithm}-${Buffer.from(digest).toString('base64')}`,
    { path: ['integrity'] },
  )
}

function hashesIn(integrity: string): string[] {
  return integrity.trim().split(/\s+/)
}
