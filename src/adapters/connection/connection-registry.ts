/**
 * The connections of all servers of one engine: their handles, and the tickets by which plugins ask for services on their
 * behalf. On the host's thread.
 */
import { randomFillSync } from 'node:crypto'
import { type BodyCodec, type ConnectionContract, type ConnectionPoints, HookringError } from '../../contracts/index.js'
import type { HookEngine } from '../../index.js'
import { encodeBody, readBody } from './body.js'

/** What a server needs of an engine. */
export type ConnectionEngine = Pick<
  HookEngine<ConnectionPoints, ConnectionContract['services']>,
  'contract' | 'hooks' | 'plugins' | 'flush' | 'provide'
>

/** An open connection, as the services of plugins reach it. */
export interface Registered {
  readonly handle: number
  readonly restricted: boolean
  readonly codec: BodyCodec
  evaluate(body: Uint8Array): Promise<Uint8Array>
  /** @throws HookringError FRAME_TOO_LARGE, REQUEST_OVERLOAD */
  post(body: Uint8Array): void
  disconnect(): void
}

const registries = new WeakMap<ConnectionEngine, ConnectionRegistry>()

/** @throws HookringError OPTIONS_INVALID when the engine asks another contract */
export function registryOf(engine: ConnectionEngine): ConnectionRegistry {
  if (engine?.contract?.id !== 'connection@1') {
    const found = engine?.contract?.id ?? 'none'
    throw new HookringError('OPTIONS_INVALID', `engine must be one of the contract connection@1, it is of ${found}`, {
      path: ['engine'],
    })
  }
  let registry = registries.get(engine)
  if (registry === undefined) {
    registry = new ConnectionRegistry(engine)
    registries.set(engine, registry)
  }
  return registry
}

const MAX_HANDLE = 0x7fff_ffff

export class ConnectionRegistry {
  readonly #engine: ConnectionEngine
  readonly #byTicket = new Map<bigint, Registered>()
  readonly #byHandle = new Map<number, Registered>()
  readonly #random = new BigUint64Array(128)
  #randomLeft = 0
  #lastHandle = 0
  #retired: bigint[] = []
  #isRetiring = false

  /** Provides the engine's services. */
  constructor(engine: ConnectionEngine) {
    this.#engine = engine
    engine.provide({
      evaluate: async ({ ticket, body }) => ({ body: await this.#find(ticket).evaluate(body) }),
      post: ({ ticket, handle, body }) => this.#post(this.#find(ticket), handle, body),
      disconnect: ({ ticket, handle }) => this.#disconnect(this.#find(ticket), handle),
    })
  }

  takeHandle(): number {
    do this.#lastHandle = this.#lastHandle === MAX_HANDLE ? 1 : this.#lastHandle + 1
    while (this.#byHandle.has(this.#lastHandle))
    return this.#lastHandle
  }

  newTicket(): bigint {
    if (this.#randomLeft === 0) {
      randomFillSync(this.#random)
      this.#randomLeft = this.#random.length
    }
    this.#randomLeft -= 1
    return this.#random[this.#randomLeft] as bigint
  }

  register(ticket: bigint, entry: Registered): void {
    this.#byTicket.set(ticket, entry)
    this.#byHandle.set(entry.handle, entry)
  }

  /** Its ticket holds until the hooks that were told of it have settled. */
  retire(ticket: bigint): void {
    const entry = this.#byTicket.get(ticket)
    if (entry === undefined) return
    this.#byHandle.delete(entry.handle)
    this.#retired.push(ticket)
    if (!this.#isRetiring) void this.#forget()
  }

  #find(ticket: bigint): Registered {
    const found = this.#byTicket.get(ticket)
    if (found !== undefined) return found
    throw new HookringError('CONNECTION_CLOSED', 'there is no connection of this ticket')
  }

  #post(caller: Registered, handle: number, body: Uint8Array): boolean {
    refuseRestricted(caller, handle, 'write to')
    const target = this.#byHandle.get(handle)
    if (target === undefined) return false
    // A plugin's bytes are looked at before a client gets them; the client may speak another codec.
    const message = readBody(caller.codec, body)
    target.post(caller.codec === target.codec ? body : encodeBody(target.codec, message))
    return true
  }

  #disconnect(caller: Registered, handle: number): boolean {
    refuseRestricted(caller, handle, 'close')
    const target = this.#byHandle.get(handle)
    target?.disconnect()
    return target !== undefined
  }

  async #forget(): Promise<void> {
    this.#isRetiring = true
    while (this.#retired.length > 0) {
      const tickets = this.#retired
      this.#retired = []
      await this.#engine.flush().catch(() => {})
      for (const ticket of tickets) this.#byTicket.delete(ticket)
    }
    this.#isRetiring = false
  }
}

/** @throws HookringError CONNECTION_RESTRICTED */
function refuseRestricted(caller: Registered, handle: number, what: string): void {
  if (!caller.restricted || caller.handle === handle) return
  const message = `connection ${caller.handle} is restricted and may ${what} itself alone, not ${handle}`
  throw new HookringError('CONNECTION_RESTRICTED', message)
}
