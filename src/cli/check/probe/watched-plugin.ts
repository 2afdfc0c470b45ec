/**
 * A plugin's definition with eyes on it: what setup returned and how long it took, what each hook returned. In the
 * probe's thread.
 */
import { types } from 'node:util'
import type { Contract } from '../../../contracts/index.js'
import type { Plugin, PluginLogger } from '../../../plugin/index.js'
import { readResult } from '../../../testing/index.js'
import type { ProbedHook } from './probe-protocol.js'

export interface WatchedPlugin {
  readonly definition: unknown
  setupMs(): number
  hooks(): ProbedHook[]
  /** Whether the hook has ever returned a promise. */
  isAsync(hookpoint: string): boolean
  /** What the hook returned last: a promise, or null. */
  lastPromise(hookpoint: string): PromiseLike<unknown> | null
  /** Whether the hook has last returned a reject or a replacement, at once. */
  saidVerdict(hookpoint: string): boolean
}

type HookFunction = (event: unknown, ctx: object) => unknown

/** What plugins log is not kept: that would look like memory of theirs. */
const quiet: PluginLogger = { debug() {}, info() {}, warn() {}, error() {} }
const LIFE_CYCLE = new Set(['onShutdown', 'destroy'])

export function watchDefinition(
  definition: Plugin | undefined,
  contract: Contract,
  onUnknown: (names: readonly string[]) => void,
): WatchedPlugin {
  let setupMs = 0
  const hooks: ProbedHook[] = []
  const last = new Map<string, unknown>()
  const asyncHooks = new Set<string>()

  function watchHooks(found: object): object {
    const known = (key: string) => Object.hasOwn(contract.hookpoints, key)
    const unknown = Object.keys(found).filter(
      (key) => !known(key) && !LIFE_CYCLE.has(key) && typeof found[key as never] === 'function',
    )
    if (unknown.length > 0) onUnknown(unknown)
    const watched: Record<string, unknown> = {}
    for (const [key, hook] of Object.entries(found)) {
      if (typeof hook !== 'function') watched[key] = hook
      else if (!known(key)) watched[key] = hook.bind(found)
      else {
        hooks.push({
          hookpoint: key,
          kind: contract.hookpoints[key]?.kind ?? '',
          isAsyncFunction: types.isAsyncFunction(hook),
        })
        watched[key] = (event: unknown, ctx: object) => {
          const result: unknown = (hook as HookFunction).call(found, event, { ...ctx, log: quiet })
          last.set(key, result)
          if (isThenable(result)) asyncHooks.add(key)
          return result
        }
      }
    }
    return watched
  }

  return {
    definition: isPlugin(definition)
      ? {
          ...definition,
          async setup(context: object) {
            const began = performance.now()
            const found: unknown = await definition.setup({ ...context, log: quiet } as never)
            setupMs = performance.now() - began
            return typeof found === 'object' && found !== null ? watchHooks(found) : found
          },
        }
      : definition,
    setupMs: () => setupMs,
    hooks: () => hooks,
    isAsync: (hookpoint) => asyncHooks.has(hookpoint),
    lastPromise(hookpoint) {
      const result = last.get(hookpoint)
      return isThenable(result) ? result : null
    },
    saidVerdict: (hookpoint) => ['reject', 'replace'].includes(readResult('transform', last.get(hookpoint)).kind),
  }
}

function isPlugin(definition: Plugin | undefined): definition is Plugin {
  return typeof definition === 'object' && definition !== null && typeof definition.setup === 'function'
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === 'function'
}
