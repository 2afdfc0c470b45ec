/** Turns an operator's options for a plugin into a registration. Host's thread only. */
import { basename } from 'node:path'
import { COMPILED_SOURCE } from '../../contracts/compiling.js'
import { HookringError } from '../../contracts/errors.js'
import {
  pluginOptionsSchema,
  type ResolvedEngineOptions,
  type ResolvedPluginOptions,
} from '../../contracts/option-schemas.js'
import { DEFAULTS } from '../../contracts/options.js'
import { parseOptions, parsePluginEntry } from '../../contracts/parse-options.js'
import type { RuntimeName } from '../../contracts/runtimes.js'
import { Semaphore } from '../../primitives/semaphore.js'
import { type Registration, resolvePolicies } from '../model/plugin.js'
import { type BreakerChange, CircuitBreaker } from '../primitives/circuit-breaker.js'
import type { PluginSources } from '../sources/locate.js'
import { placementOf } from './placement.js'
import type { ServiceRegistry } from './services.js'

export interface RegistrationsOptions {
  readonly engine: ResolvedEngineOptions
  readonly sources: PluginSources
  readonly services: Pick<ServiceRegistry, 'checkGrants'>
  onBreaker(registration: Registration, change: BreakerChange): void
}

/** Copying and bundling have their own bounds; beyond that, more at once gains nothing. */
const MOST_AT_ONCE = 8

/** What a later version of a plugin keeps from the one before. */
type Identity = Pick<Registration, 'order' | 'ownBulkhead' | 'name' | 'loadsTypeScript'>

export class Registrations {
  readonly #options: RegistrationsOptions
  /** Registrations made so far. */
  #count = 0

  constructor(options: RegistrationsOptions) {
    this.#options = options
  }

  /** @throws HookringError OPTIONS_INVALID, UNTRUSTED_RUNTIME, INTEGRITY_MISMATCH, PLUGIN_NOT_FOUND, PLUGIN_IMPORT_FAILED, PLUGIN_BUNDLE_TIMEOUT, PLUGIN_BUNDLE_TOO_LARGE, TYPESCRIPT_UNSUPPORTED */
  async create(options: unknown, what: string): Promise<Registration> {
    return this.#make(parsePluginEntry(pluginOptionsSchema, options, what))
  }

  /**
   * Several, in their order. Their files are found and bundled side by side; of what goes wrong, the first plugin's is said,
   * and none is begun after it.
   * @throws as `create` does
   */
  async createAll(plugins: readonly unknown[]): Promise<Registration[]> {
    const places = new Semaphore(MOST_AT_ONCE)
    let failed = plugins.length
    const making = plugins.map((plugin, index) =>
      places.run(async () => {
        if (failed < index) return null
        try {
          return await this.create(plugin, `plugins[${index}]`)
        } catch (error) {
          failed = Math.min(failed, index)
          throw error
        }
      }),
    )
    const made: Registration[] = []
    for (const result of await Promise.allSettled(making)) {
      if (result.status === 'rejected') throw result.reason
      if (result.value !== null) made.push(result.value)
    }
    return made
  }

  /**
   * The same plugin, read from its file again, with `changes` in place of its options.
   * @throws as `create` does
   */
  async renew(registration: Registration, changes: object): Promise<Registration> {
    const wanted = { ...registration.options, ...changes }
    return this.#make(parseOptions(pluginOptionsSchema, wanted, `plugin ${registration.name}`), registration)
  }

  /** @returns `current` with new ones in place of those that are chosen. @throws as `create` does */
  async renewAll(
    current: readonly Registration[],
    isChosen: (registration: Registration) => boolean,
  ): Promise<Registration[]> {
    const renewed: Registration[] = []
    const next: Registration[] = []
    try {
      for (const registration of current) {
        const isSame = !isChosen(registration)
        next.push(isSame ? registration : await this.renew(registration, {}))
        if (!isSame) renewed.push(next.at(-1) as Registration)
      }
      return next
    } catch (error) {
      await this.#options.sources.release(renewed.map(({ url }) => url))
      throw error
    }
  }

  async #make(options: ResolvedPluginOptions, identity?: Identity): Promise<Registration> {
    const { engine, sources, services } = this.#options
    const { runtime, boundary } = placementOf(options)
    checkConfig(options)
    services.checkGrants(options.services ?? [], String(options.from))
    const { trust, integrity, sourceRoots } = options
    // Before anything is waited for: plugins that are made side by side stand in the order in which they were named.
    const order = identity?.order ?? this.#count++
    const url = await sources.locate(options.from, { runtime, boundary, trust, integrity, sourceRoots })
    const provisional = options.name ?? fileName(String(options.from))
    const registration: Registration = {
      name: options.name ?? identity?.name ?? provisional,
      options,
      runtime,
      boundary,
      loadsTypeScript: identity?.loadsTypeScript || isTypeScript(runtime, url),
      url,
      order,
      ownBulkhead: identity?.ownBulkhead ?? `${provisional}-${order}`,
      timeoutMs: options.timeoutMs ?? engine.timeoutMs ?? defaultTimeoutMs(runtime),
      policies: resolvePolicies(options.onFailure ?? engine.onFailure),
      breaker: this.#breakerOf(() => registration),
    }
    return registration
  }

  #breakerOf(registration: () => Registration): CircuitBreaker {
    const { engine, onBreaker } = this.#options
    const bounds = engine.quarantine === false ? NEVER : engine.quarantine
    return new CircuitBreaker({ ...bounds, onChange: (change) => onBreaker(registration(), change) })
  }
}

/** Where the operator has said nothing, a provider elsewhere has the time that EMQX gives it. */
function defaultTimeoutMs(runtime: RuntimeName): number {
  return runtime === 'exhook' ? DEFAULTS.providerTimeoutMs : DEFAULTS.timeoutMs
}

/** Whether it is a TypeScript file. A pinned plugin is a bundle by now, and so is one in a child process. */
function isTypeScript(runtime: RuntimeName, url: string): boolean {
  return runtime === 'module' && COMPILED_SOURCE.test(url)
}

/** The breaker of a plugin that only the operator quarantines. */
const NEVER = { windowMs: 1000, minFailures: Number.POSITIVE_INFINITY, ratio: 1, cooldownMs: 1000 }

/** Lanes get `config` as a structured clone. */
function checkConfig({ config, from }: ResolvedPluginOptions): void {
  try {
    structuredClone(config)
  } catch (error) {
    throw new HookringError(
      'OPTIONS_INVALID',
      `plugin ${String(from)}: config must be plain data, because it is sent to another thread: ${(error as Error).message}`,
      { path: ['config'], cause: error },
    )
  }
}

function fileName(from: string): string {
  const path = from.replace(/[?#].*$/, '').replace(/\.(?:[cm]?[jt]s|wasm|so|dylib|dll)$/, '')
  // A folder's `index` file is named after the folder.
  const name = basename(path.replace(/\/index$/, ''))
  return name.replace(/[^a-z0-9._-]/gi, '-') || 'plugin'
}
