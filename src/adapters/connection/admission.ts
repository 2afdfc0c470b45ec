/**
 * Who is let in: the server's own check, then the auth hooks, which can only narrow. On the host's thread.
 */
import type { ConnectionRegistry } from './connection-registry.js'
import { type Hello, messageOf } from './handshake.js'
import type { Lines } from './lines.js'
import type { Peer, Requests } from './requests.js'
import type { Client, ResolvedServerOptions } from './server-options.js'

export interface AdmissionParts {
  readonly options: ResolvedServerOptions
  readonly requests: Pick<Requests, 'admits'>
  readonly registry: Pick<ConnectionRegistry, 'takeHandle' | 'newTicket'>
  readonly lines: Pick<Lines, 'error'>
}

export interface Applicant {
  readonly hello: Hello
  readonly client: Omit<Client, 'user'>
  /** Aborted when the connection ends. */
  readonly signal: AbortSignal
}

/** Null: refused. What it is refused for is not told, since it would tell that the password was right. Never rejects. */
export async function admit(
  { hello, client, signal }: Applicant,
  { options, requests, registry, lines }: AdmissionParts,
): Promise<Peer | null> {
  const { checkCredentials, isRestricted } = options
  const { codec, user, password } = hello
  try {
    // A name that nobody has checked is nobody's.
    const isNamed = checkCredentials !== null
    if (isNamed && !(await checkCredentials(user, password))) return null
    if (signal.aborted) return null
    const who: Client = { ...client, user: isNamed ? user : null }
    const restricted = Boolean(isRestricted(who))
    const peer: Peer = {
      ...who,
      codec,
      restricted,
      handle: registry.takeHandle(),
      ticket: registry.newTicket(),
      signal,
    }
    return !isNamed || (await requests.admits(peer, password)) ? peer : null
  } catch (error) {
    lines.error({ remoteAddress: client.remoteAddress }, `a user could not be checked: ${messageOf(error)}`)
    return null
  }
}
