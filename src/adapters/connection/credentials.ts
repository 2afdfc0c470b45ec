/**
 * The server's own check of a user and password, in constant time. On the host's thread.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { HookringError } from '../../contracts/index.js'

/** Passwords by user, or a function that knows. */
export type Users = Readonly<Record<string, string>> | ((user: string, password: string) => boolean | Promise<boolean>)

export type CredentialCheck = (user: string, password: string) => boolean | Promise<boolean>

/** @throws HookringError OPTIONS_INVALID */
export function createCredentialCheck(users: Users): CredentialCheck {
  if (typeof users === 'function') return users
  if (typeof users !== 'object' || users === null) throw invalid('must be an object of passwords, or a function')
  // What is compared are digests of one length, made with a key that nobody outside has.
  const key = randomBytes(32)
  const digestOf = (text: string) => createHmac('sha256', key).update(text).digest()
  const nobody = randomBytes(32)
  const digests = new Map<string, Buffer>()
  for (const [user, password] of Object.entries(users)) {
    if (typeof password !== 'string' || user === '' || user.includes(':')) {
      throw invalid('must have names without colons, each with its password')
    }
    digests.set(user, digestOf(password))
  }
  // A name that is not known takes as long as one that is.
  return (user, password) => timingSafeEqual(digestOf(password), digests.get(user) ?? nobody)
}

function invalid(problem: string): HookringError {
  return new HookringError('OPTIONS_INVALID', `users ${problem}`, { path: ['users'] })
}
