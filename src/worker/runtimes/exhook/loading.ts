/**
 * How a provider is loaded: it is asked which hooks it wants, again and again while the setup time lasts. The lane's thread.
 */
import { HookringError } from '../../../contracts/errors.js'
import type { ExhookVersion } from '../../../contracts/exhook/rpcs.js'
import type { PluginLogger } from '../../../plugin/index.js'
import { StoppedAtDeadline } from '../runtime.js'
import { type Mounted, readHooks } from './answers.js'
import { type Connections, RpcFailure, STATUS } from './connection.js'
import { brokerOf, type RequestMeta } from './meta.js'
import type { Method } from './wire.js'

export interface LoadingOptions {
  readonly plugin: string
  readonly url: string
  readonly version: ExhookVersion
  readonly connections: Connections
  /** OnProviderLoaded. */
  readonly method: Method
  readonly meta: RequestMeta
}

export interface FirstLoadingOptions extends LoadingOptions {
  readonly log: PluginLogger
  readonly setupMs: number
  /** Milliseconds since the Unix epoch. */
  readonly endMs: number
  /** Tells the provider that an earlier version of the plugin is unloaded. Never rejects. */
  readonly unload: (() => Promise<void>) | null
}

/** One answer to OnProviderLoaded; a provider that has accepted the connection and says nothing is asked again. */
export const LOAD_ATTEMPT_MS = 5_000
const RETRY_MS = 50
const RETRY_MAX_MS = 500
/** What another try would not change. */
const LASTING: ReadonlySet<number> = new Set([3, 7, STATUS.UNIMPLEMENTED, 16])

/** Rejects as `Connections.call` does. @throws HookringError PROVIDER_HOOK_UNKNOWN, PROVIDER_INVALID */
export async function loadOnce(options: LoadingOptions, deadline: number): Promise<Mounted> {
  const { connections, method, version, meta } = options
  const reply = await connections.call(method, { broker: brokerOf(version, meta), meta }, { deadline })
  return readHooks(reply, version, whoIs(options))
}

/** @throws HookringError PROVIDER_UNREACHABLE, PROVIDER_HOOK_UNKNOWN, PROVIDER_INVALID */
export async function loadFirst(options: FirstLoadingOptions): Promise<Mounted> {
  const { url, log, endMs, setupMs, unload } = options
  // Unloaded and then loaded, as EMQX does it: the other way round a provider would end up without its state.
  await unload?.()
  let pauseMs = RETRY_MS
  for (let attempts = 1; ; attempts += 1) {
    try {
      return await loadOnce(options, Math.min(endMs, Date.now() + LOAD_ATTEMPT_MS))
    } catch (error) {
      const problem = problemOf(options, error)
      if (Date.now() + pauseMs >= endMs) {
        const message = `${whoIs(options)} did not answer within ${setupMs} ms, asked ${attempts} times: ${problem}`
        throw new HookringError('PROVIDER_UNREACHABLE', message, { cause: error })
      }
      if (attempts === 1) log.info(`the provider ${url} does not answer yet: ${problem}`)
    }
    await pause(pauseMs)
    pauseMs = Math.min(2 * pauseMs, RETRY_MAX_MS)
  }
}

/** What went wrong, if another try may help. @throws HookringError PROVIDER_INVALID, and what is one already */
function problemOf(options: LoadingOptions, error: unknown): string {
  const who = whoIs(options)
  if (error instanceof HookringError) {
    if (error.code !== 'EVENT_INVALID') throw error
    throw new HookringError('PROVIDER_INVALID', `${who}: ${error.message}`, { cause: error })
  }
  const problem = error instanceof StoppedAtDeadline ? 'it did not answer in time' : (error as Error).message
  if (!(error instanceof RpcFailure) || !LASTING.has(error.status)) return problem
  const hint = error.status === STATUS.UNIMPLEMENTED ? ` (it may speak another version than ${options.version})` : ''
  const message = `${who} does not let itself be loaded: ${problem}${hint}`
  throw new HookringError('PROVIDER_INVALID', message, { cause: error })
}

function whoIs({ plugin, url }: LoadingOptions): string {
  return `plugin ${plugin}: the provider ${url}`
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref())
}
