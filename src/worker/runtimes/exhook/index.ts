/**
 * Runtime `exhook`: a provider of the ExHook protocol, anywhere, as a plugin. Its URL stands where others have a file. What
 * runs in the lane is a gRPC client: nothing of the provider's does, and what it answers is data that is checked, so it
 * may be untrusted. Serves engines of exhook@1 to @3 and of mqtt@1, whichever version the provider speaks. The lane's thread.
 */
import { formatPath, HookringError } from '../../../contracts/errors.js'
import { EXHOOK_VERSIONS, type ExhookVersion } from '../../../contracts/exhook/rpcs.js'
import { type ProviderConfig, providerConfigSchema } from '../../../contracts/remote-provider.js'
import type { HookFunction } from '../../../plugin/setup.js'
import { KeyedQueue } from '../../../primitives/keyed-queue.js'
import type { CallContext } from '../call-context.js'
import type { PluginPlace, Runtime, RuntimePlugin } from '../runtime.js'
import { hookNames, type Mounted } from './answers.js'
import type { CallLimits } from './connection.js'
import type { Asked, Exchange, Exchanges } from './exchange.js'
import { exhookExchanges } from './exhook-events.js'
import { mqttExchanges, NOT_ASKED } from './mqtt-events.js'
import { mountProvider, type RemoteProvider } from './provider.js'

/** Without a limit of the host's: a little less than its usual one. */
const SETUP_MS = 9_000
/** The host's limit is for the whole lane: what is kept back is for booting and for the answer. */
const KEPT_BACK_MS = 1_000

export const exhookRuntime: Runtime = {
  async load(place) {
    const { plugin, logger } = place
    place.named(plugin.name)
    const config = configOf(place)
    const exchanges = exchangesOf(place, config)
    const version = versionOf(place)
    const log = logger(plugin.name)
    let mounting: Mounting | null = null
    const provider = await mountProvider({
      plugin: plugin.name,
      url: plugin.url,
      version,
      config,
      log,
      setupMs: setupMsOf(place),
      failedAction: plugin.onError ?? 'deny',
      isReload: plugin.isReload === true,
      onMounted: (mounted) => mounting?.sayMissing(mounted),
    })
    mounting = new Mounting(place, exchanges, version)
    mounting.mount(provider.mounted)
    const hooks = new ProviderHooks(provider)
    return {
      name: plugin.name,
      config,
      log,
      hooks: mounting.exchanges.map((exchange) => (exchange === undefined ? undefined : hooks.hookOf(exchange))),
      onShutdown: undefined,
      destroy: () => provider.unload(),
      handOver: (step) => provider.handOver(step),
      succeeded: () => provider.succeeded(),
      dispose: () => provider.close(),
      takes: 'event',
    } satisfies RuntimePlugin
  },
}

/** Asks the provider about events, those of one client one after the other. */
class ProviderHooks {
  readonly #provider: RemoteProvider
  readonly #turns = new KeyedQueue<string>()

  constructor(provider: RemoteProvider) {
    this.#provider = provider
  }

  hookOf({ subjects, clientOf, topicOf, run }: Exchange<unknown>): HookFunction {
    const provider = this.#provider
    // The event is closed at the deadline, and an answer may come later: what is asked and what is replaced is a copy.
    return (event, ctx) => {
      if (topicOf !== undefined && !provider.wants(subjects[0] as string, topicOf(event))) return undefined
      const copy = (event as { copy(): unknown }).copy()
      const { deadline, signal } = ctx as CallContext
      return this.#turns.run(clientOf(copy), () => run(copy, asked(provider, { deadline, signal })))
    }
  }
}

/** Which hookpoints a provider is mounted at, and what its operator should know of the others. */
class Mounting {
  readonly #place: PluginPlace
  readonly #exchanges: Exchanges
  readonly #version: ExhookVersion
  #points: ReadonlySet<string> = new Set()

  constructor(place: PluginPlace, exchanges: Exchanges, version: ExhookVersion) {
    this.#place = place
    this.#exchanges = exchanges
    this.#version = version
  }

  /** By the index of the hookpoint. */
  get exchanges(): (Exchange<unknown> | undefined)[] {
    return this.#names.map((point) => (this.#points.has(point) ? this.#exchanges[point] : undefined)) as never
  }

  /** Which hookpoints a plugin is called at is settled when it is loaded. */
  mount(mounted: Mounted): void {
    const { contract, plugin } = this.#place
    this.#points = new Set(
      this.#names.filter((point) => this.#exchanges[point]?.subjects.some((each) => mounted.has(each))),
    )
    // A hook that the contract has no event for: never called, which nobody would notice otherwise.
    const unserved = this.#lacking(mounted, this.#names)
    const whose = `the provider ${plugin.url} asks for`
    const name = `${contract.name}@${contract.version}`
    if (unserved !== null) this.#log.warn(`${whose} ${unserved}, of which ${name} does not tell`)
    if (this.#points.size === 0) this.#log.warn(`${whose} no hook of ${name}`)
  }

  /** Of a provider that has come back. */
  sayMissing(mounted: Mounted): void {
    const missing = this.#lacking(mounted, [...this.#points])
    if (missing === null) return
    this.#log.warn(
      `the provider ${this.#place.plugin.url} now asks for ${missing} too: reload its plugin to mount them`,
    )
  }

  get #names(): readonly string[] {
    return this.#place.hookpoints.map(({ name }) => name)
  }

  get #log() {
    return this.#place.logger(this.#place.plugin.name)
  }

  /** The hooks that are wanted and that these hookpoints do not serve, in words; null: none. */
  #lacking(mounted: Mounted, points: readonly string[]): string | null {
    const served = new Set(points.flatMap((point) => this.#exchanges[point]?.subjects ?? []))
    const lacking = [...mounted.keys()].filter((subject) => !served.has(subject))
    return lacking.length === 0 ? null : hookNames(lacking, this.#version)
  }
}

function versionOf({ plugin, contract }: PluginPlace): ExhookVersion {
  return (plugin.version ?? (contract.name === 'exhook' ? contract.version : 3)) as ExhookVersion
}

function setupMsOf({ setupTimeoutMs }: PluginPlace): number {
  return setupTimeoutMs === undefined ? SETUP_MS : setupTimeoutMs - Math.min(KEPT_BACK_MS, setupTimeoutMs / 4)
}

function exchangesOf(place: PluginPlace, config: ProviderConfig): Exchanges {
  const { name, version } = place.contract
  if (name === 'exhook' && (EXHOOK_VERSIONS as readonly number[]).includes(version)) {
    return exhookExchanges(version as ExhookVersion)
  }
  if (name !== 'mqtt' || version !== 1) {
    const message = `plugin ${place.plugin.name} is a remote provider, which serves exhook@1, exhook@2, exhook@3 and mqtt@1; the engine asks ${name}@${version}`
    throw new HookringError('PLUGIN_CONTRACT_MISMATCH', message)
  }
  const exchanges = mqttExchanges(config)
  refuseUnmapped(place, exchanges)
  return exchanges
}

/** A gate that nobody is asked at lets everything pass: one that has no RPC is refused by name. */
function refuseUnmapped({ plugin, contract, hookpoints }: PluginPlace, exchanges: Exchanges): void {
  const unmapped = hookpoints.filter(({ name, kind }) => {
    return (kind === 'gate' || kind === 'transform') && exchanges[name] === undefined && !NOT_ASKED.includes(name)
  })
  if (unmapped.length === 0) return
  const names = unmapped.map(({ name }) => name).join(', ')
  const message = `plugin ${plugin.name} is a remote provider, and cannot be asked at ${names} of ${contract.name}@${contract.version}: its protocol has no such question`
  throw new HookringError('PLUGIN_CONTRACT_MISMATCH', message)
}

function configOf({ plugin: { name, url, config } }: PluginPlace): ProviderConfig {
  const parsed = providerConfigSchema.safeParse(config ?? {})
  if (!parsed.success) {
    const issue = parsed.error.issues[0]
    const path = ['config', ...((issue?.path ?? []) as (string | number)[])]
    const message = `plugin ${name}: ${formatPath(path)}: ${issue?.message ?? 'invalid'}`
    throw new HookringError('PLUGIN_CONFIG_INVALID', message, { path })
  }
  if (parsed.data.tls !== undefined && !url.startsWith('https:')) {
    const message = `plugin ${name}: config.tls is for providers that are reached by https, not ${url}`
    throw new HookringError('PLUGIN_CONFIG_INVALID', message, { path: ['config', 'tls'] })
  }
  return parsed.data
}

function asked(provider: RemoteProvider, limits: CallLimits): Asked {
  return {
    meta: provider.meta,
    askBool: (subject, request) => provider.askBool(subject, request, limits),
    askMessage: (subject, request) => provider.askMessage(subject, request, limits),
    tell: (subject, request) => provider.tell(subject, request, limits),
    tellAside: (subject, request) => provider.tellAside(subject, request, limits),
  }
}
