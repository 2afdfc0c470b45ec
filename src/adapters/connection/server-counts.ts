/** What a server has seen since it was made. On the host's thread. */
import type { CloseReason } from './requests.js'

/** Why a connection was not opened. */
export type ConnectionRefusal = 'handshake' | 'credentials' | 'timeout' | 'limit' | 'gone'

export interface ServerCounts {
  /** Sockets, those that did not come to be connections included. */
  accepted: number
  readonly refused: Record<ConnectionRefusal, number>
  opened: number
  readonly closed: Record<CloseReason, number>
  sync: number
  async: number
  /** Sync requests that were answered with a value or with an error, or not at all: given up, or the connection ended before. */
  answered: number
  failed: number
  abandoned: number
  /** Messages to clients that were sent, and those that were refused because their client does not take what it is sent. */
  posted: number
  unposted: number
  /** Async messages whose body could not be read. */
  unreadable: number
}

export function createCounts(): ServerCounts {
  return {
    accepted: 0,
    refused: { handshake: 0, credentials: 0, timeout: 0, limit: 0, gone: 0 },
    opened: 0,
    closed: { client: 0, broken: 0, idle: 0, stalled: 0, protocol: 0, server: 0 },
    sync: 0,
    async: 0,
    answered: 0,
    failed: 0,
    abandoned: 0,
    posted: 0,
    unposted: 0,
    unreadable: 0,
  }
}
