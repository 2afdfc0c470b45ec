/** Turns the failed start of a lane into an error, and names the plugin to blame. For the supervisor. */
import type { Manifest } from '../../contracts/control.js'
import { HookringError, thrownText } from '../../contracts/errors.js'
import type { Bulkhead } from '../model/bulkhead.js'
import type { Lane } from '../model/lane.js'

/** The thread did not boot. The reason is the thread's own, or Node's. */
export function bootFailure({ name, options }: Bulkhead, error: unknown): HookringError {
  const { code } = (error ?? {}) as { code?: unknown }
  const advice =
    code === 'ERR_WORKER_OUT_OF_MEMORY'
      ? `; limits.memoryMb is ${options.profile.memoryMb}, a lane needs more to boot`
      : code === 'ERR_ACCESS_DENIED'
        ? '; Node.js runs under its permission model, and worker threads take --allow-worker'
        : ''
  const message = `a lane of bulkhead ${name} did not boot: ${thrownText(error)}${advice}`
  return new HookringError('LANE_BOOT_FAILED', message, { cause: error })
}

export function crashedWhileLoading(lane: Lane, crash: Error | null): HookringError {
  const plugin = loadingPlugin(lane)
  const who = plugin === undefined ? 'a lane' : `plugin ${plugin}`
  const message = `${who} ended its thread while it was loaded: ${crash?.message ?? 'the thread stopped'}`
  return new HookringError('PLUGIN_CRASHED', message, { cause: crash })
}

export function loadFailure(lane: Lane, error: unknown, setupTimeoutMs: number): HookringError {
  const plugin = loadingPlugin(lane)
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

/** The failure of a start, as an error with a code. */
export function startFailure(error: unknown): HookringError {
  if (error instanceof HookringError) return error
  return new HookringError('PLUGIN_CRASHED', thrownText(error), { cause: error })
}

/** @throws HookringError PLUGIN_INCONSISTENT when a plugin hooks other hookpoints in `other` than in `first` */
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

function loadingPlugin({ bulkhead, ring }: Lane): string | undefined {
  return bulkhead.spec?.plugins[ring.loadingPlugin()]?.name
}
