/**
 * The hooks that a server sets in its own process: five names, each with a function or nothing. On the host's thread.
 */
import { CONNECTION_HOOKS, type ConnectionHookName, HookringError } from '../../contracts/index.js'

/** On whose behalf something is done. */
export interface Caller {
  readonly handle: number
  /** Null where the server has no users. */
  readonly user: string | null
  readonly restricted: boolean
  /** Aborted when the connection ends. */
  readonly signal: AbortSignal
}

export interface HostHooks {
  open(handle: number, caller: Caller): unknown
  close(handle: number, caller: Caller): unknown
  sync(message: unknown, caller: Caller): unknown
  async(message: unknown, caller: Caller): unknown
  auth(user: string, password: string, caller: Caller): unknown
}

export interface HookSlots {
  /** Anything but a function clears the hook. @throws HookringError HOOK_NAME_RESERVED for any other name */
  set<Name extends ConnectionHookName>(name: Name, hook: HostHooks[Name] | null | undefined | 0): void
  /** @throws HookringError HOOK_NAME_RESERVED */
  clear(name: ConnectionHookName): void
  /** @throws HookringError HOOK_NAME_RESERVED */
  has(name: ConnectionHookName): boolean
}

/** The server's own view of its hooks: it may read them. */
export class HookTable implements HookSlots {
  readonly #hooks: Partial<HostHooks> = {}

  /** @throws HookringError HOOK_NAME_RESERVED */
  constructor(initial: Partial<HostHooks>) {
    for (const [name, hook] of Object.entries(initial)) this.set(name as ConnectionHookName, hook as never)
  }

  get<Name extends ConnectionHookName>(name: Name): HostHooks[Name] | undefined {
    return this.#hooks[name]
  }

  set<Name extends ConnectionHookName>(name: Name, hook: HostHooks[Name] | null | undefined | 0): void {
    check(name)
    if (typeof hook === 'function') this.#hooks[name] = hook
    else delete this.#hooks[name]
  }

  clear(name: ConnectionHookName): void {
    this.set(name, undefined)
  }

  has(name: ConnectionHookName): boolean {
    check(name)
    return this.#hooks[name] !== undefined
  }
}

function check(name: string): void {
  if (CONNECTION_HOOKS.includes(name as ConnectionHookName)) return
  throw new HookringError(
    'HOOK_NAME_RESERVED',
    `${String(name)} cannot be set; the hooks are ${CONNECTION_HOOKS.join(', ')}, and all other names are reserved`,
  )
}
