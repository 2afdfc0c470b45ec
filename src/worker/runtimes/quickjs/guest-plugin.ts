/** A plugin in its VM as a lane calls it: its hooks, and the ends of its life. The lane's thread only. */
import type { HookFunction, PluginInstance } from '../../../plugin/setup.js'
import type { CallContext } from '../call-context.js'
import type { EventBytes } from '../runtime.js'
import { PROTOCOL } from './guest/protocol.js'
import { GuestCalls } from './guest-calls.js'
import { type GuestOptions, Keeper } from './keeper.js'
import { LeftoverJobs } from './leftover-jobs.js'

export interface Guest extends PluginInstance {
  dispose(): void
}

/** @throws HookringError PLUGIN_... */
export async function createGuest(options: GuestOptions): Promise<Guest> {
  const { name, spec, hookpoints, log } = options
  const keeper = new Keeper(options)
  const jobs = new LeftoverJobs({ keeper, log, timeoutMs: spec.timeoutMs })
  const calls = new GuestCalls({ keeper, jobs })
  const flags = await keeper.start(jobs)
  jobs.runSoon()
  return {
    name,
    // What its schema made of it stays where it was made.
    config: undefined,
    log,
    hooks: hookpoints.map((_, point) => (flags[point + 2] === '1' ? hookOf(calls, point) : undefined)),
    onShutdown: flags[0] === '1' ? () => calls.end(PROTOCOL.SHUT_DOWN, PROTOCOL.SHUTDOWN_ID) : undefined,
    destroy: flags[1] === '1' ? () => calls.end(PROTOCOL.DESTROY, PROTOCOL.DESTROY_ID) : undefined,
    dispose: () => keeper.dispose(),
  }
}

function hookOf(calls: GuestCalls, point: number): HookFunction {
  return (event, ctx) => calls.call(point, event as EventBytes, ctx as CallContext)
}
