/** What a failure says: who, where, why, how long it waited and ran. Host's thread only. */
import type { Failure, FailureKind } from '../../contracts/verdict.js'
import type { Call } from '../model/call.js'
import type { ActivePlugin } from '../model/plugin.js'
import type { Times } from '../model/trip.js'

const VERBS: Partial<Record<FailureKind, string>> = {
  timeout: 'timed out',
  crash: 'crashed',
  error: 'threw',
  invalid: 'gave no valid verdict',
}

export function failureMessage(
  plugin: ActivePlugin,
  call: Call,
  kind: FailureKind,
  what: string,
  times: Times,
): string {
  const took = `waited ${times.waitedMs.toFixed(1)} ms, ran ${times.ranMs.toFixed(1)} ms`
  const limitMs = Math.min(plugin.timeoutMs, call.rare.capMs - call.tripMs)
  const limit = kind === 'timeout' ? ` after ${Math.round(limitMs * 10) / 10} ms` : ''
  return `plugin ${plugin.name} ${VERBS[kind] ?? kind}${limit} at ${call.hookpoint.name}: ${what} (${took})`
}

export function quarantineMessage(call: Call, plugin: ActivePlugin): string {
  return `plugin ${plugin.name} is quarantined and was not asked at ${call.hookpoint.name}`
}

export function failureOf(call: Call, plugin: ActivePlugin, kind: FailureKind, message: string, times: Times): Failure {
  return {
    kind,
    plugin: plugin.name,
    hookpoint: call.hookpoint.name,
    message,
    waitedMs: times.waitedMs,
    ranMs: times.ranMs,
  }
}
