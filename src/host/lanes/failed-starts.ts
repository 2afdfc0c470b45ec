/**
 * What a lane that could not be started is called: by which error, and by which plugin's fault. For the supervisor.
 */
import type { Manifest } from '../../contracts/control.js'
import { HookringError, thrownText } from '../../contracts/errors.js'
import type { Bulkhead } from '../model/bulkhead.js'
import type { Lane } from '../model/lane.js'

export function crashedWhileLoading(lane: Lane, crash: Error | null): string {
  const plugin = lane.bulkhead.spec?.plugins[lane.ring.loadingPlugin()]?.name
  const who = plugin === undefined ? 'a lane' : `plugin ${plugin}`
  return `${who} ended its thread while it was loaded: ${crash?.message ?? 'the thread stopped'}`
}

export function loadFailure(lane: Lane, error: unknown, setupTimeoutMs: number): HookringError {
  const plugin = lane.bulkhead.spec?.plugins[lane.ring.loadingPlugin()]?.name
  const at = plugin === undefined ? {} : { plugin }
  if (error instanceof HookringError && error.code === 'CONTROL_TIMEOUT') {
    const message = `plugin ${plugin ?? '(unknown)'} did not finish import and setup within ${setupTimeoutMs} ms`
    return new HookringError('PLUGIN_SETUP_TIMEOUT', message, at)
  }
  if (error instanceof HookringError) return new HookringError(error.code, error.message, { ...at, cause: error.cause })
  return new HookringError('PLUGIN_CRASHED', `a lane could not be started: ${thrownText(error)}`, {
    ...at,
    cause: error,
  })
}

export function checkSame(bulkhead: Bulkhead, first: readonly Manifest[], other: readonly Manifest[]): void {
  for (const [index, manifest] of first.entries()) {
    const hooks = other[index]?.hooks ?? []
    if (manifest.hooks.join() === hooks.join()) continue
    const plugin = bulkhead.plugins[index]?.name ?? manifest.name
    throw new HookringError(
      'PLUGIN_INCONSISTENT',
      `plugin ${plugin} hooks ${manifest.hooks.join(', ')} in one lane and ${hooks.join(', ')} in another; setup must return the same hooks`,
      { plugin },
    )
  }
}
