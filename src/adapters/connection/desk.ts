/**
 * The connections of all servers of one engine: their handles, and the tickets by which plugins ask for services on their
 * behalf. On the host's thread.
 */
import { randomFillSync } from 'node:crypto'
import { type ConnectionContract, type ConnectionPoints, HookringError } from '../../contracts/index.js'
import type { HookEngine } from '../../index.js'

/** What a server needs of an engine. */
export type ConnectionEngine = Pick<
  HookEngine<ConnectionPoints, ConnectionContract['services']>,
  'contract' | 'hooks' | 'plugins' | 'flush' | 'provide'
>

export interface Registered {
  readonly handle: number
  readonly restricted: boolean
  evaluate(body: Uint8Array): Promise<Uint8Array>
  disconnect(): void
}

export interface Desk {
  takeHandle(): number
  newTicket(): bigint
  register(ticket: bigint, entry: Registered): void
  /** Its tickets hold until the hooks that were told of it have settled. */
  retire(ticket: bigint): void
}

const desks = new WeakMap<ConnectionEngine, Desk>()

/** @throws HookringError OPTIONS_INVALID when the engine asks another contract */
export function deskOf(engine: ConnectionEngine): Desk {
  if (engine?.contract?.id !== 'connection@1') {
    const found = engine?.contract?.id ?? 'none'
    throw new HookringError('OPTIONS_INVALID', `engine must be one of the contract connection@1, it is of ${found}`, {
      path: ['engine'],
    })
  }
  const known = desks.get(engine)
  if (known !== undefined) return known
  const desk = createDesk(engine)
  desks.set(engine, desk)
  return desk
}

const MAX_HANDLE = 0x7fff_ffff

function createDesk(engine: ConnectionEngine): Desk {
  const byTicket = new Map<bigint, Registered>()
  const byHandle = new Map<number, Registered>()
  const random = new BigUint64Array(128)
  let lastHandle = 0
  let randomLeft = 0
  let retired: bigint[] = []
  let isRetiring = false

  function find(ticket: bigint): Registered {
    const found = byTicket.get(ticket)
    if (found !== undefined) return found
    throw new HookringError('CONNECTION_CLOSED', 'there is no connection of this ticket')
  }

  async function forget(): Promise<void> {
    isRetiring = true
    while (retired.length > 0) {
      const tickets = retired
      retired = []
      await engine.flush().catch(() => {})
      for (const ticket of tickets) byTicket.delete(ticket)
    }
    isRetiring = false
  }

  engine.provide({
    evaluate: async ({ ticket, body }) => ({ body: await find(ticket).evaluate(body) }),
    disconnect({ ticket, handle }) {
      const caller = find(ticket)
      if (caller.restricted && caller.handle !== handle) {
        throw new HookringError(
          'CONNECTION_RESTRICTED',
          `connection ${caller.handle} is restricted and may close itself alone, not ${handle}`,
        )
      }
      const found = byHandle.get(handle)
      found?.disconnect()
      return found !== undefined
    },
  })

  return {
    takeHandle() {
      do lastHandle = lastHandle === MAX_HANDLE ? 1 : lastHandle + 1
      while (byHandle.has(lastHandle))
      return lastHandle
    },
    newTicket() {
      if (randomLeft === 0) {
        randomFillSync(random)
        randomLeft = random.length
      }
      randomLeft -= 1
      return random[randomLeft] as bigint
    },
    register(ticket, entry) {
      byTicket.set(ticket, entry)
      byHandle.set(entry.handle, entry)
    },
    retire(ticket) {
      const entry = byTicket.get(ticket)
      if (entry === undefined) return
      byHandle.delete(entry.handle)
      retired.push(ticket)
      if (!isRetiring) void forget()
    },
  }
}
