/**
 * The handle of the connection whose hook runs, for code deep inside a plugin: -1 outside of any. In a plugin's thread.
 *
 * With Node.js it follows what a hook starts, across awaits, timers and other hooks' turns. A guest (quickjs, compartment)
 * has nothing that could follow a promise: there it is right while the hook runs synchronously, and -1 after that, never
 * another connection's.
 */
import type { AsyncLocalStorage } from 'node:async_hooks'

interface HandleScope {
  run<T>(handle: number, body: () => T): T
  readonly current: number
}

/** Shared by all copies of this module in a thread: a plugin may bring one of its own. */
const KEY = Symbol.for('hookring.connection.handle@1')

const OUTSIDE = -1

export function currentHandle(): number {
  return scope().current
}

/** Runs `body` as a hook of the connection does. Nested calls have their own, and give back the one before. */
export function withHandle<T>(handle: number, body: () => T): T {
  return scope().run(handle, body)
}

function scope(): HandleScope {
  const shared = globalThis as { [KEY]?: HandleScope }
  shared[KEY] ??= createScope()
  return shared[KEY]
}

function createScope(): HandleScope {
  const { AsyncLocalStorage: Storage } = (nodeModule('node:async_hooks') ?? {}) as {
    AsyncLocalStorage?: new () => AsyncLocalStorage<number>
  }
  return Storage === undefined ? synchronousScope() : storedScope(new Storage())
}

function storedScope(storage: AsyncLocalStorage<number>): HandleScope {
  return {
    run: (handle, body) => storage.run(handle, body),
    get current() {
      return storage.getStore() ?? OUTSIDE
    },
  }
}

function synchronousScope(): HandleScope {
  let current = OUTSIDE
  return {
    run(handle, body) {
      const before = current
      current = handle
      try {
        return body()
      } finally {
        current = before
      }
    },
    get current() {
      return current
    },
  }
}

/** Not by an import: a guest's bundle would be refused for it. */
function nodeModule(name: string): unknown {
  const { process } = globalThis as { process?: { getBuiltinModule?: (name: string) => unknown } }
  return process?.getBuiltinModule?.(name)
}
