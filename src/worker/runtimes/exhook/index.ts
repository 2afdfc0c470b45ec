/**
 * Runtime `exhook`: a provider of the ExHook protocol, anywhere, as a plugin. Its URL stands where others have a file. What
 * runs in the lane is a gRPC client: nothing of the provider's does, and what it answers is data that is checked, so it
 * may be untrusted. Serves engines of exhook@1 to @3 and of mqtt@1, whichever version the provider speaks. The lane's thread.
 */
import { formatPath, HookringError } from '../../../contracts/errors.js'
import { EXHOOK_VERSIONS, type ExhookVersion } from '../../../contracts/exhook/rpcs.js'
import { type ProviderConfig, providerConfigSchema } from '../../../contracts/remote-provider.js'
import type { PluginLogger } from '../../../plugin/index.js'
import { describe, type HookFunction } from '../../../plugin/setup.js'
import { KeyedQueue } from '../../../primitives/keyed-queue.js'
import type { CallContext } from '../call-context.js'
import { type PluginPlace, type Runtime, type RuntimePlugin, StoppedAtDeadline } from '../runtime.js'
import { hookNames, type Mounted } from './answers.js'
import type { CallLimits } from './connection.js'
import type { Asked, Exchange, Exchanges } from './exchange.js'
import { exhookExchanges } from './exhook-events.js'
import { MQTT_EXCHANGES } from './mqtt-events.js'
import { mountProvider, type RemoteProvider } from './provider.js'

/** Without a limit of the host's: a little less than its usual one. */
const SETUP_MS = 9_000
/** The host's limit is for the whole lane: what is kept back is for booting and for the answer. */
const KEPT_BACK_MS = 1_000
/** What is told aside and fails is logged so often at most, with how many they were. */
const ASIDE_LOG_MS = 5_000

export const exhookRuntime: Runtime = {
  async load(place) {
    const { plugin, contract, hookpoints, logger, setupTimeoutMs } = place
    const { name, url } = plugin
    place.named(name)
    const exchanges = exchangesOf(place)
    const config = configOf(place)
    const log = logger(name)
    const version = (plugin.version ?? (contract.name === 'exhook' ? contract.version : 3)) as ExhookVersion
    const names = hookpoints.map((point) => point.name)
    let mountedPoints: ReadonlySet<string> = new Set()
    const provider = await mountProvider({
      plugin: name,
      url,
      version,
      config,
      log,
      setupMs: setupTimeoutMs === undefined ? SETUP_MS : setupTimeoutMs - Math.min(KEPT_BACK_MS, setupTimeoutMs / 4),
      onMounted: (mounted) => sayMissing(mounted, mountedPoints),
    })
    mountedPoints = new Set(
      names.filter((point) => exchanges[point]?.subjects.some((each) => provider.mounted.has(each))),
    )
    sayUnserved(provider.mounted)
    if (mountedPoints.size === 0)
      log.warn(`the provider ${url} asks for no hook of ${contract.name}@${contract.version}`)
    const turns = new KeyedQueue<string>()
    const aside = createAside(log, url)

    const hookOf = ({ subjects, clientOf, topicOf, run }: Exchange<unknown>): HookFunction => {
      // The event is closed at the deadline, and an answer may come later: what is asked and what is replaced is a copy.
      return (event, ctx) => {
        if (topicOf !== undefined && !provider.wants(subjects[0] as string, topicOf(event))) return undefined
        const copy = (event as { copy(): unknown }).copy()
        const { deadline, signal } = ctx as CallContext
        return turns.run(clientOf(copy), () => run(copy, asked(provider, { deadline, signal }, aside)))
      }
    }

    /** A hook that the contract has no event for: never called, which nobody would notice otherwise. */
    function sayUnserved(mounted: Mounted): void {
      const served = new Set(names.flatMap((point) => exchanges[point]?.subjects ?? []))
      const lacking = [...mounted.keys()].filter((subject) => !served.has(subject))
      if (lacking.length === 0) return
      const hooks = hookNames(lacking, version)
      log.warn(`the provider ${url} asks for ${hooks}, of which ${contract.name}@${contract.version} does not tell`)
    }

    /** Which hookpoints a plugin is called at is settled when it is loaded. */
    function sayMissing(mounted: Mounted, points: ReadonlySet<string>): void {
      const reached = new Set([...points].flatMap((point) => exchanges[point]?.subjects ?? []))
      const lacking = [...mounted.keys()].filter((subject) => !reached.has(subject))
      if (lacking.length === 0) return
      const hooks = hookNames(lacking, version)
      log.warn(`the provider ${url} now asks for ${hooks} too: reload its plugin to mount them`)
    }

    return {
      name,
      config,
      log,
      hooks: names.map((point) =>
        mountedPoints.has(point) ? hookOf(exchanges[point] as Exchange<unknown>) : undefined,
      ),
      onShutdown: undefined,
      destroy: () => provider.unload(),
      dispose: () => provider.close(),
      takes: 'event',
    } satisfies RuntimePlugin
  },
}

function exchangesOf({ plugin, contract }: PluginPlace): Exchanges {
  const { name, version } = contract
  if (name === 'exhook' && (EXHOOK_VERSIONS as readonly number[]).includes(version)) {
    return exhookExchanges(version as ExhookVersion)
  }
  if (name === 'mqtt' && version === 1) return MQTT_EXCHANGES
  throw new HookringError(
    'PLUGIN_CONTRACT_MISMATCH',
    `plugin ${plugin.name} is a remote provider, which serves exhook@1, exhook@2, exhook@3 and mqtt@1; the engine asks ${name}@${version}`,
  )
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

type Aside = (subject: string, error: unknown) => void

function asked(provider: RemoteProvider, limits: CallLimits, aside: Aside): Asked {
  return {
    meta: provider.meta,
    askBool: (subject, request) => provider.askBool(subject, request, limits),
    askMessage: (subject, request) => provider.askMessage(subject, request, limits),
    tell: (subject, request) => provider.tell(subject, request, limits),
    async tellAside(subject, request) {
      try {
        await provider.tell(subject, request, limits)
      } catch (error) {
        // Past the deadline there is no time for the question either.
        if (error instanceof StoppedAtDeadline) throw error
        aside(subject, error)
      }
    },
  }
}

function createAside(log: PluginLogger, url: string): Aside {
  let count = 0
  let lastMs = Number.NEGATIVE_INFINITY
  return (subject, error) => {
    count += 1
    const nowMs = Date.now()
    if (nowMs - lastMs < ASIDE_LOG_MS) return
    log.warn(`the provider ${url} could not be told of ${subject}: ${describe(error)}`, { count })
    lastMs = nowMs
    count = 0
  }
}
