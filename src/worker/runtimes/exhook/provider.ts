/**
 * A provider's life as its lane sees it. The lane's thread.
 *
 *   loading ---> serving ---> waiting (connection lost) ---> loading anew ---> serving
 *                                 \---> away (connecting has failed) --/
 *
 * Whoever asks while it is waiting waits too, until the deadline; while it is away he is told so at once. A provider that
 * comes back may have forgotten everything, so it is loaded anew, and may want other hooks or topics than before.
 */
import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { HookringError } from '../../../contracts/errors.js'
import type { ExhookVersion } from '../../../contracts/exhook/rpcs.js'
import type { ProviderConfig } from '../../../contracts/remote-provider.js'
import type { PluginLogger } from '../../../plugin/index.js'
import { describe } from '../../../plugin/setup.js'
import { StoppedAtDeadline } from '../runtime.js'
import { type BoolAnswer, type MessageAnswer, type Mounted, readBool, readHooks, readMessage } from './answers.js'
import {
  type CallLimits,
  type Connection,
  type ConnectionState,
  openConnection,
  RpcFailure,
  STATUS,
} from './connection.js'
import { loadWire, type Method, type Wire, type WireMessage } from './wire.js'

export interface ProviderOptions {
  readonly plugin: string
  readonly url: string
  readonly version: ExhookVersion
  readonly config: ProviderConfig
  readonly log: PluginLogger
  /** How long its first answer may take, retries included; in milliseconds. */
  readonly setupMs: number
  /** Told when a provider that has come back wants other hooks than before. */
  onMounted(mounted: Mounted): void
}

/** Of which broker requests come. */
export interface RequestMeta {
  readonly node: string
  readonly version: string
  readonly sysdescr: string
  readonly clusterName: string
}

export interface RemoteProvider {
  readonly meta: RequestMeta
  readonly mounted: Mounted
  /** Whether it wants to hear of a message, as of now. */
  wants(subject: string, topic: string): boolean
  /** Undefined: it does not want this hook, or none of this message, or has no say in it. */
  askBool(subject: string, request: WireMessage, limits: CallLimits): Promise<BoolAnswer | undefined>
  askMessage(subject: string, request: WireMessage, limits: CallLimits): Promise<MessageAnswer | undefined>
  tell(subject: string, request: WireMessage, limits: CallLimits): Promise<void>
  /** Says goodbye, as far as there is somebody to hear it. */
  unload(): Promise<void>
  close(): void
}

type Standing =
  | { readonly kind: 'serving' }
  | { readonly kind: 'waiting' }
  | { readonly kind: 'away'; readonly why: string }

/** One answer to OnProviderLoaded; a provider that has accepted the connection and says nothing is asked again. */
const LOAD_ATTEMPT_MS = 5_000
const RETRY_MS = 50
const RETRY_MAX_MS = 500
/** A provider that is connected and refuses to be loaded is asked again, ever more rarely. */
const RELOAD_MS = 250
const RELOAD_MAX_MS = 30_000
/** One that is lost again so soon is loaded anew after a pause, from the second time on. */
const STEADY_MS = 5_000
/** Nobody waits for what it answers. */
const UNLOAD_MS = 1_000
/** What another try would not change. */
const LASTING: ReadonlySet<number> = new Set([3, 7, STATUS.UNIMPLEMENTED, 16])

const MANIFEST = new URL('../../../../package.json', import.meta.url)

/** @throws HookringError GRPC_MISSING, PLUGIN_CONFIG_INVALID, PROVIDER_UNREACHABLE, PROVIDER_HOOK_UNKNOWN, PROVIDER_INVALID */
export async function mountProvider(options: ProviderOptions): Promise<RemoteProvider> {
  const endMs = Date.now() + options.setupMs
  const { plugin, url, version, config, log } = options
  const who = `plugin ${plugin}: the provider ${url}`
  const meta = metaOf(config)
  const wire: Wire = await loadWire(version, plugin)
  const methodOf = (subject: string) => wire.get(subject) as Method
  let standing: Standing = { kind: 'waiting' }
  let waiting: (() => void)[] = []
  let mounted: Mounted = new Map()
  let isClosed = false
  let isLoaded = false
  // Counts connections: what was begun under an earlier one is not gone on with.
  let connections = 0
  let servingSinceMs = 0
  // How often in a row it was lost again soon.
  let losses = 0
  const connection: Connection = await openConnection({ plugin, url, config, onState: follow })
  try {
    mounted = await loadFirst()
  } catch (error) {
    close()
    throw error
  }
  isLoaded = true
  if (connection.state === 'up') stand({ kind: 'serving' })
  else follow(connection.state)

  function stand(next: Standing): void {
    standing = next
    if (next.kind === 'serving') servingSinceMs = Date.now()
    if (next.kind === 'waiting') return
    const woken = waiting
    waiting = []
    for (const wake of woken) wake()
  }

  function follow(state: ConnectionState): void {
    if (!isLoaded || isClosed) return
    connections += 1
    if (state === 'up') {
      stand({ kind: 'waiting' })
      void loadAnew(connections)
      return
    }
    if (standing.kind === 'serving') {
      losses = Date.now() - servingSinceMs < STEADY_MS ? losses + 1 : 0
      log.warn(`the connection to the provider ${url} is lost; connecting again`)
    }
    stand(state === 'down' ? { kind: 'away', why: 'it cannot be reached' } : { kind: 'waiting' })
  }

  async function load(deadline: number): Promise<Mounted> {
    const reply = await connection.call(
      methodOf('OnProviderLoaded'),
      { broker: brokerOf(version, meta), meta },
      { deadline },
    )
    return readHooks(reply, version, who)
  }

  async function loadFirst(): Promise<Mounted> {
    let pauseMs = RETRY_MS
    for (let attempts = 1; ; attempts += 1) {
      try {
        return await load(Math.min(endMs, Date.now() + LOAD_ATTEMPT_MS))
      } catch (error) {
        if (error instanceof HookringError) {
          if (error.code !== 'EVENT_INVALID') throw error
          throw new HookringError('PROVIDER_INVALID', `${who}: ${error.message}`, { cause: error })
        }
        const problem = error instanceof StoppedAtDeadline ? 'it did not answer in time' : (error as Error).message
        if (error instanceof RpcFailure && LASTING.has(error.status)) {
          const hint = error.status === STATUS.UNIMPLEMENTED ? ` (it may speak another version than ${version})` : ''
          throw new HookringError('PROVIDER_INVALID', `${who} does not let itself be loaded: ${problem}${hint}`, {
            cause: error,
          })
        }
        if (Date.now() + pauseMs >= endMs) {
          const message = `${who} did not answer within ${options.setupMs} ms, asked ${attempts} times: ${problem}`
          throw new HookringError('PROVIDER_UNREACHABLE', message, { cause: error })
        }
        if (attempts === 1) log.info(`the provider ${url} does not answer yet: ${problem}`)
        await pause(pauseMs)
        pauseMs = Math.min(2 * pauseMs, RETRY_MAX_MS)
      }
    }
  }

  async function loadAnew(mine: number): Promise<void> {
    let pauseMs = RELOAD_MS
    const isOver = () => isClosed || mine !== connections
    if (losses > 1) await pause(Math.min(RELOAD_MS * 2 ** (losses - 2), RELOAD_MAX_MS))
    while (!isOver()) {
      try {
        const next = await load(Date.now() + LOAD_ATTEMPT_MS)
        if (isOver()) return
        mounted = next
        options.onMounted(next)
        log.info(`the provider ${url} is back`)
        stand({ kind: 'serving' })
        return
      } catch (error) {
        if (isOver()) return
        const why = error instanceof StoppedAtDeadline ? 'it did not answer when it was to be loaded' : describe(error)
        log.error(`the provider ${url} is back and cannot be loaded: ${why}`)
        stand({ kind: 'away', why })
        await pause(pauseMs)
        pauseMs = Math.min(2 * pauseMs, RELOAD_MAX_MS)
      }
    }
  }

  /** @throws Error when it is away, StoppedAtDeadline when it has not come back by then */
  async function whenServing({ signal }: CallLimits): Promise<void> {
    while (standing.kind === 'waiting' && signal?.aborted !== true) {
      await new Promise<void>((resolve) => {
        const wake = () => {
          signal?.removeEventListener('abort', wake)
          const at = waiting.indexOf(wake)
          if (at !== -1) waiting.splice(at, 1)
          resolve()
        }
        waiting.push(wake)
        signal?.addEventListener('abort', wake, { once: true })
      })
    }
    if (standing.kind === 'away') throw new Error(`the provider ${url} is away: ${standing.why}`)
    if (signal?.aborted === true) throw new StoppedAtDeadline()
  }

  function wants(subject: string, topic: string): boolean {
    return mounted.get(subject)?.(topic) === true
  }

  /** Null: it does not want it. */
  async function exchange(subject: string, request: WireMessage, limits: CallLimits): Promise<WireMessage | null> {
    const topic = topicOf(request)
    if (!wants(subject, topic)) return null
    if (standing.kind !== 'serving') {
      await whenServing(limits)
      if (!wants(subject, topic)) return null
    }
    return connection.call(methodOf(subject), request, limits)
  }

  function close(): void {
    isClosed = true
    stand({ kind: 'away', why: 'its plugin is closed' })
    connection.close()
  }

  return {
    meta,
    get mounted() {
      return mounted
    },
    wants,
    async askBool(subject, request, limits) {
      const reply = await exchange(subject, request, limits)
      return reply === null ? undefined : readBool(reply, methodOf(subject).name)
    },
    async askMessage(subject, request, limits) {
      const reply = await exchange(subject, request, limits)
      return reply === null ? undefined : readMessage(reply, methodOf(subject).name)
    },
    async tell(subject, request, limits) {
      await exchange(subject, request, limits)
    },
    async unload() {
      if (standing.kind !== 'serving') {
        log.info(`the provider ${url} is away and not told that it is unloaded`)
        return
      }
      try {
        await connection.call(methodOf('OnProviderUnloaded'), { meta }, { deadline: Date.now() + UNLOAD_MS })
      } catch (error) {
        log.warn(`the provider ${url} was told that it is unloaded: ${describe(error)}`)
      }
    },
    close,
  }
}

function metaOf({ node, cluster }: ProviderConfig): RequestMeta {
  const { version } = JSON.parse(readFileSync(MANIFEST, 'utf8')) as { version: string }
  return { node: node ?? `hookring@${hostname()}`, version, sysdescr: 'hookring', clusterName: cluster ?? 'hookring' }
}

function brokerOf(version: ExhookVersion, meta: RequestMeta): WireMessage {
  const uptimeMs = Math.round(process.uptime() * 1000)
  return {
    version: meta.version,
    sysdescr: meta.sysdescr,
    uptime: version === 1 ? `${Math.round(uptimeMs / 1000)} seconds` : String(uptimeMs),
    datetime: new Date().toISOString(),
  }
}

function topicOf({ message }: WireMessage): string {
  return (message as { topic?: string } | undefined)?.topic ?? ''
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref())
}
