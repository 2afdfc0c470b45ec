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

export interface OwnedHookSlots extends HookSlots {
  get<Name extends ConnectionHookName>(name: Name): HostHooks[Name] | undefined
}

/** @throws HookringError HOOK_NAME_RESERVED */
export function createHookSlots(initial: Partial<HostHooks>): OwnedHookSlots {
  const hooks: Partial<HostHooks> = {}

  const slots: OwnedHookSlots = {
    set(name, hook) {
      check(name)
      if (typeof hook === 'function') hooks[name] = hook
      else delete hooks[name]
    },
    clear: (name) => slots.set(name, undefined),
    has(name) {
      check(name)
      return hooks[name] !== undefined
    },
    get: (name) => hooks[name],
  }
  for (const [name, hook] of Object.entries(initial)) slots.set(name as ConnectionHookName, hook as never)
  return slots
}

function check(name: string): void {
  if (CONNECTION_HOOKS.includes(name as ConnectionHookName)) return
  throw new HookringError(
    'HOOK_NAME_RESERVED',
    `${String(name)} cannot be set; the hooks are ${CONNECTION_HOOKS.join(', ')}, and all other names are reserved`,
  )
}
