/**
 * Guest code: from what a plugin's module exports to hooks that can be called, as plugin/setup.ts does it in a lane: the
 * definition is read, the config parsed by the plugin's schema, setup run. Runs in QuickJS from its source text, so it
 * refers to nothing outside itself.
 */

import type { Intrinsics } from './intrinsics.js'
import type { Protocol } from './protocol.js'
import type { GuestText } from './text.js'

/** What the guest is told of the plugin and of what it must fit. */
interface GuestSetup {
  readonly name: string
  readonly config: unknown
  readonly contract: { readonly name: string; readonly version: number }
  readonly hookpoints: readonly { readonly name: string; readonly kind: string }[]
}

/** The plugin, as its hooks hear of it; filled by setup. */
export interface GuestAbout {
  name: string
  config: unknown
}

/** The plugin as setup has made it. Hooks and kinds are by hookpoint. */
export interface GuestTable {
  hooks: (((event: unknown, ctx: unknown) => unknown) | undefined)[]
  kinds: string[]
  stages: Record<string, (() => unknown) | undefined>
}

interface Failure {
  readonly code: string
  readonly message: string
  readonly path?: readonly unknown[]
}

export interface GuestSetups {
  /** Takes the module's namespace; the plugin's own name in a list, or else what is wrong. */
  define(exported: unknown): string
  setUp(told: string): string | undefined
}

export function createGuestSetups(
  intrinsics: Intrinsics,
  protocol: Protocol,
  text: GuestText,
  header: Int32Array,
  about: GuestAbout,
  table: GuestTable,
  logger: unknown,
  isThenable: (value: unknown) => boolean,
  /** Tells what becomes of a promise. */
  follow: (id: number, promise: unknown, read: (value: unknown) => string | undefined) => void,
  failed: (error: unknown) => string,
): GuestSetups {
  const { apply, keys, stringify, bind } = intrinsics
  const { STATUS } = protocol
  const PLUGIN = Symbol.for('hookring.plugin@1')
  let definition: Record<PropertyKey, unknown> | undefined

  function refuse({ code, message, path }: Failure): string {
    header[STATUS] = protocol.INVALID
    return text.write({ code, message: text.clip(message, protocol.MAX_ERROR_CHARS), path }, 65_536) ?? '{}'
  }

  function define(exported: unknown): string {
    const found =
      typeof exported === 'object' && exported !== null ? (exported as { default?: unknown }).default : undefined
    if (typeof found !== 'object' || found === null || (found as Record<symbol, unknown>)[PLUGIN] !== 1) {
      return stringify(found === undefined ? 'it has no default export' : `its default export is ${typeof found}`)
    }
    definition = found as Record<PropertyKey, unknown>
    const own = definition.name
    return `[${stringify(typeof own === 'string' ? text.clip(own, 200) : null)}]`
  }

  function setUp(told: string): string | undefined {
    const setup = text.read(told) as GuestSetup
    const { name, contract } = setup
    const plugin = definition as Record<PropertyKey, unknown>
    about.name = name
    try {
      const writtenFor = plugin.contract as GuestSetup['contract']
      if (writtenFor.name !== contract.name || writtenFor.version !== contract.version) {
        return refuse({
          code: 'PLUGIN_CONTRACT_MISMATCH',
          message: `plugin ${name} is written for ${writtenFor.name}@${writtenFor.version}, the engine asks ${contract.name}@${contract.version}`,
        })
      }
      const refusal = parseConfig(name, plugin.config, setup.config)
      if (refusal !== undefined) return refuse(refusal)
      const context = { plugin: name, config: about.config, log: logger, services: {} }
      const found = (plugin as { setup(context: unknown): unknown }).setup(context)
      if (!isThenable(found)) return accept(setup, found)
      follow(protocol.SETUP_ID, found, (value) => accept(setup, value))
      header[STATUS] = protocol.PENDING
      return undefined
    } catch (error) {
      return failed(error)
    }
  }

  function parseConfig(name: string, schema: unknown, given: unknown): Failure | undefined {
    const code = 'PLUGIN_CONFIG_INVALID'
    about.config = undefined
    if (schema === undefined) {
      return given === undefined ? undefined : { code, message: `plugin ${name} takes no config` }
    }
    const { safeParse } = schema as { safeParse?: unknown }
    if (typeof safeParse !== 'function') {
      return { code, message: `plugin ${name}: its config schema is not a zod schema` }
    }
    const { _zod, _def } = schema as { _zod?: unknown; _def?: unknown }
    if (_zod === undefined && typeof _def === 'object' && _def !== null) {
      const message = `plugin ${name}: its config schema: a schema of zod 3; use zod 4, or zod/v4 in zod 3.25`
      return { code: 'ZOD_TOO_OLD', message }
    }
    const parsed = apply(safeParse, schema, [given]) as {
      success: boolean
      data: unknown
      error: { issues: { message: unknown; path?: unknown[] }[] }
    }
    if (parsed.success) {
      about.config = parsed.data
      return undefined
    }
    const issue = parsed.error.issues[0]
    const path: unknown[] = ['config']
    const inside = issue?.path ?? []
    for (let i = 0; i < inside.length; i++) path[i + 1] = inside[i]
    return { code, message: `${issue?.message ?? 'invalid'}`, path }
  }

  function accept({ name, hookpoints }: GuestSetup, found: unknown): string {
    if (typeof found !== 'object' || found === null) {
      const message = `plugin ${name}: setup must return an object of hooks, got ${typeof found}`
      return refuse({ code: 'PLUGIN_SETUP_FAILED', message })
    }
    const given = found as Record<string, unknown>
    const made: GuestTable['hooks'] = []
    const kinds: string[] = []
    for (let i = 0; i < hookpoints.length; i++) {
      made[i] = undefined
      kinds[i] = (hookpoints[i] as { kind: string }).kind
    }
    table.stages = {}
    for (const key of ['destroy', 'onShutdown']) {
      const stage = given[key]
      if (stage === undefined) continue
      if (typeof stage !== 'function') return refuse(notFunction(name, key, stage))
      table.stages[key] = apply(bind, stage, [given]) as () => unknown
    }
    const names = keys(given)
    for (let i = 0; i < names.length; i++) {
      const key = names[i] as string
      const hook = given[key]
      if (hook === undefined || key === 'destroy' || key === 'onShutdown' || key === 'then') continue
      if (key === 'constructor' || key === 'toJSON') continue
      let index = -1
      for (let at = 0; at < hookpoints.length; at++) if (hookpoints[at]?.name === key) index = at
      if (index === -1)
        return refuse({ code: 'HOOKPOINT_UNKNOWN', message: `plugin ${name} hooks ${key}`, path: [key] })
      if (typeof hook !== 'function') return refuse(notFunction(name, key, hook))
      made[index] = apply(bind, hook, [given]) as (event: unknown, ctx: unknown) => unknown
    }
    table.hooks = made
    table.kinds = kinds
    let list = ''
    for (let i = 0; i < made.length; i++) list += made[i] === undefined ? '0' : '1'
    header[STATUS] = protocol.DONE
    return stringify(
      `${table.stages.onShutdown === undefined ? 0 : 1}${table.stages.destroy === undefined ? 0 : 1}${list}`,
    )
  }

  function notFunction(name: string, key: string, hook: unknown): Failure {
    const message = `plugin ${name}: ${key} must be a function, got ${typeof hook}`
    return { code: 'PLUGIN_SETUP_FAILED', message }
  }

  return { define, setUp }
}
