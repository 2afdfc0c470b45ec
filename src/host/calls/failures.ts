/** Builds failures: which plugin, where, why, how long it waited and ran. Host's thread only. */
import type { CutShortBy, Failure, FailureKind, ThrownError } from '../../contracts/verdict.js'
import type { Call } from '../model/call.js'
import type { ActivePlugin } from '../model/plugin.js'
import { NO_TIMES, type Times } from '../model/trip.js'

const VERBS: Partial<Record<FailureKind, string>> = {
  timeout: 'timed out',
  crash: 'crashed',
  error: 'threw',
  invalid: 'gave no valid verdict',
}

export interface FailureParts {
  readonly kind: FailureKind
  /** What happened, in words for an operator. */
  readonly what: string
  readonly times: Times
  /** Left out: the failure is the plugin's own. */
  readonly cutShortBy?: CutShortBy | undefined
  /** Kind `error`: what the hook threw. */
  readonly error?: ThrownError | undefined
}

/** The failure of a plugin that was asked, or was next to be asked. */
export function failureOf(call: Call, plugin: ActivePlugin, parts: FailureParts): Failure {
  const { kind, what, times, cutShortBy, error } = parts
  const took = `waited ${times.waitedMs.toFixed(1)} ms, ran ${times.ranMs.toFixed(1)} ms`
  const verb = `${VERBS[kind] ?? kind}${kind === 'timeout' ? limitOf(plugin, cutShortBy) : ''}`
  const message = `plugin ${plugin.name} ${verb} at ${call.hookpoint.name}: ${what} (${took})`
  return {
    ...plainFailure(call, plugin, kind, message, times),
    ...(cutShortBy === undefined ? {} : { cutShortBy }),
    ...(error === undefined ? {} : { error }),
  }
}

/** Splits a lane's text about a thrown error: `TypeError: it is no number`, a zero byte, the stack. */
export function thrownErrorIn(said: string): ThrownError {
  const [text = '', stack = ''] = said.split('\0', 2)
  const [, name = 'Error', message = text] = /^([A-Za-z_$][\w$]*): ([\s\S]*)$/.exec(text) ?? []
  return { name, message, stack }
}

export function quarantineFailure(call: Call, plugin: ActivePlugin): Failure {
  const message = `plugin ${plugin.name} is quarantined and was not asked at ${call.hookpoint.name}`
  return plainFailure(call, plugin, 'quarantined', message, NO_TIMES)
}

export function overloadFailure(call: Call, plugin: ActivePlugin): Failure {
  const { name, inFlight, queueDepth } = plugin.bulkhead
  const message = `bulkhead ${name} is full: ${inFlight} calls in flight, ${queueDepth} waiting`
  return plainFailure(call, plugin, 'overload', message, NO_TIMES)
}

function limitOf({ timeoutMs }: ActivePlugin, cutShortBy: CutShortBy | undefined): string {
  return cutShortBy === 'caller' ? " at its caller's deadline" : ` after ${Math.round(timeoutMs * 10) / 10} ms`
}

function plainFailure(
  call: Call,
  plugin: ActivePlugin,
  kind: FailureKind,
  message: string,
  { waitedMs, ranMs }: Times,
): Failure {
  return { kind, plugin: plugin.name, hookpoint: call.hookpoint.name, message, waitedMs, ranMs }
}
