/** What plugins of the soak are registered with, version by version. Host's thread only. */
import type { PluginOptions } from 'hookring'
import type { ActingConfig } from './acting.js'
import { LIMITER_MAX_BYTES } from './decisions.js'
import { type Evidence, ORDER_ROWS } from './evidence.js'
import type { Cast, Role } from './roles.js'

export const TIMEOUT_MS = 200

export interface Casting {
  /** The version that was made last. */
  versionOf(role: Role): number
  nextVersion(role: Role): number
  optionsOf(cast: Cast, role: Role, setup?: ActingConfig['setup']): PluginOptions
}

export function createCasting(evidence: Evidence): Casting {
  const latest = new Map<Role, number>()
  let nextRow = 0
  const versionOf = (role: Role): number => latest.get(role) ?? 1

  function optionsOf(cast: Cast, role: Role, setup: ActingConfig['setup'] = 'well'): PluginOptions {
    const { name, priority, onFailure, timeoutMs } = role
    const shared: Omit<PluginOptions, 'from'> = {
      name,
      priority,
      ...role.options,
      ...(onFailure === undefined ? {} : { onFailure }),
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
    }
    if (role.column === null) {
      return { ...shared, from: import.meta.resolve(`hookring/hooks/${name}`), config: { maxBytes: LIMITER_MAX_BYTES } }
    }
    const orderRow = nextRow++ % ORDER_ROWS
    evidence.clearOrder(orderRow)
    const config: ActingConfig = {
      evidence: evidence.buffer,
      role: name,
      version: versionOf(role),
      hooks: [...role.hooks],
      isAsync: role.isAsync,
      column: role.column,
      plugin: role.plugin,
      orderRow,
      setup,
      lateMs: (timeoutMs ?? TIMEOUT_MS) + 20,
    }
    return { ...shared, from: new URL(`./plugins/${cast.name}.js`, import.meta.url), config }
  }

  return {
    versionOf,
    nextVersion(role) {
      const version = versionOf(role) + 1
      latest.set(role, version)
      return version
    },
    optionsOf,
  }
}
