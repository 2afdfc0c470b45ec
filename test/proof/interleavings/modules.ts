/**
 * The code under test, as a thread of a stage imports it: what ships, or a copy of it with a mutant. Both sides' threads;
 * only after the stepped Atomics are in place.
 */
import type * as Contract from '../../../dist/contracts/contract.js'
import type * as MakeHookpoint from '../../../dist/contracts/make-hookpoint.js'
import type * as Types from '../../../dist/contracts/types.js'
import type * as Breaker from '../../../dist/host/breaker.js'
import type * as Bulkhead from '../../../dist/host/bulkhead.js'
import type * as CallModule from '../../../dist/host/call.js'
import type * as CallDeadlines from '../../../dist/host/call-deadlines.js'
import type * as Completion from '../../../dist/host/completion.js'
import type * as Deadlines from '../../../dist/host/deadlines.js'
import type * as Dispatcher from '../../../dist/host/dispatcher.js'
import type * as Expiry from '../../../dist/host/expiry.js'
import type * as Hops from '../../../dist/host/hops.js'
import type * as Metrics from '../../../dist/host/metrics.js'
import type * as PluginState from '../../../dist/host/plugin-state.js'
import type * as PointModule from '../../../dist/host/point.js'
import type * as PumpModule from '../../../dist/host/pump.js'
import type * as RouteModule from '../../../dist/host/route.js'
import type * as Supervisor from '../../../dist/host/supervisor.js'
import type * as Watchdog from '../../../dist/host/watchdog.js'
import type * as PluginDoor from '../../../dist/plugin/index.js'
import type * as Clock from '../../../dist/ring/clock.js'
import type * as HostRing from '../../../dist/ring/host-ring.js'
import type * as Layout from '../../../dist/ring/layout.js'
import type * as WorkerRing from '../../../dist/ring/worker-ring.js'
import type * as WorkerLane from '../../../dist/worker/lane.js'

type Modules = {
  'contracts/contract': typeof Contract
  'contracts/make-hookpoint': typeof MakeHookpoint
  'contracts/types': typeof Types
  'host/breaker': typeof Breaker
  'host/bulkhead': typeof Bulkhead
  'host/call': typeof CallModule
  'host/call-deadlines': typeof CallDeadlines
  'host/completion': typeof Completion
  'host/deadlines': typeof Deadlines
  'host/dispatcher': typeof Dispatcher
  'host/expiry': typeof Expiry
  'host/hops': typeof Hops
  'host/metrics': typeof Metrics
  'host/plugin-state': typeof PluginState
  'host/point': typeof PointModule
  'host/pump': typeof PumpModule
  'host/route': typeof RouteModule
  'host/supervisor': typeof Supervisor
  'host/watchdog': typeof Watchdog
  'plugin/index': typeof PluginDoor
  'ring/clock': typeof Clock
  'ring/host-ring': typeof HostRing
  'ring/layout': typeof Layout
  'ring/worker-ring': typeof WorkerRing
  'worker/lane': typeof WorkerLane
}

/** Imports one module of the code under test. @param dist file: URL of its folder. */
export async function importFrom<Name extends keyof Modules>(dist: string, name: Name): Promise<Modules[Name]> {
  return await import(new URL(`${name}.js`, dist).href)
}

/** The contract of all scenarios: a gate and an observation with the same event. */
export async function defineStageContract(dist: string) {
  const { z } = await import('zod')
  const { defineContract } = await importFrom(dist, 'contracts/contract')
  const { gate, observe } = await importFrom(dist, 'contracts/make-hookpoint')
  const { u32 } = await importFrom(dist, 'contracts/types')
  const event = z.object({ call: u32(), does: z.string(), check: z.string() })
  return defineContract('interleavings', 1, { onAsk: gate(event), onTell: observe(event) })
}

export type StageContract = Awaited<ReturnType<typeof defineStageContract>>
export type StageEvent = { readonly call: number; readonly does: string; readonly check: string }
