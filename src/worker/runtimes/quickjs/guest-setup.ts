/** What a plugin's setup is told, and what it comes to. Pure. */
import type { HookpointSpec, PluginSpec } from '../../../contracts/control.js'
import { HookringError } from '../../../contracts/errors.js'
import { describe } from '../../../plugin/setup.js'
import { StoppedAtDeadline } from '../runtime.js'
import { refusalOf, thrownBy } from './definition.js'
import { PROTOCOL } from './guest/protocol.js'
import { START_MS } from './preparation.js'
import { readText, writeText } from './text.js'
import type { Settled } from './verdict.js'

export interface SetupPlace {
  readonly name: string
  readonly spec: PluginSpec
  readonly contract: { readonly name: string; readonly version: number }
  readonly hookpoints: readonly HookpointSpec[]
}

/** @throws HookringError PLUGIN_CONFIG_INVALID */
export function setupTextOf({ name, spec, contract, hookpoints }: SetupPlace): string {
  const told = {
    name,
    config: spec.config,
    contract: { name: contract.name, version: contract.version },
    hookpoints: hookpoints.map((point) => ({ name: point.name, kind: point.kind })),
  }
  try {
    return writeText(told, '')
  } catch (error) {
    const message = `plugin ${name}: ${(error as Error).message.replace(/^\./, '')}`
    throw new HookringError('PLUGIN_CONFIG_INVALID', message, { path: ['config'], cause: error })
  }
}

/** What the plugin offers, as flags: onShutdown, destroy, then a hook for each hookpoint. @throws HookringError PLUGIN_... */
export function flagsOf({ status, text, bytes }: Settled, { name, hookpoints }: SetupPlace): string {
  if (status === PROTOCOL.DONE) return String(JSON.parse(text ?? '""'))
  if (status !== PROTOCOL.ERROR) throw refusalOf(text === null ? null : readText(text, bytes), name, hookpoints)
  const cause = thrownBy(text)
  throw new HookringError('PLUGIN_SETUP_FAILED', `plugin ${name}: setup threw: ${describe(cause)}`, { cause })
}

export function setupErrorOf(error: unknown, name: string): HookringError {
  if (error instanceof HookringError) return error
  if (error instanceof StoppedAtDeadline) {
    return new HookringError('PLUGIN_SETUP_TIMEOUT', `plugin ${name} did not finish its setup in ${START_MS} ms`)
  }
  return new HookringError('PLUGIN_SETUP_FAILED', `plugin ${name}: setup failed: ${describe(error)}`, { cause: error })
}
