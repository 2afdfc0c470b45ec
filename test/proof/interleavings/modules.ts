/**
 * The code under test, as a thread of a stage imports it: what ships, or a copy of it with a mutant. For both sides'
 * threads, only after the stepped Atomics are installed.
 */
import type * as Contract from '../../../dist/contracts/contract.js'
import type * as MakeHookpoint from '../../../dist/contracts/make-hookpoint.js'
import type * as Types from '../../../dist/contracts/types.js'
import type * as CallPath from '../../../dist/host/calls/call-path.js'
import type * as Supervision from '../../../dist/host/lanes/supervision.js'
import type * as Bulkhead from '../../../dist/host/model/bulkhead.js'
import type * as HookpointStateModule from '../../../dist/host/model/hookpoint-state.js'
import type * as LaneModule from '../../../dist/host/model/lane.js'
import type * as PluginState from '../../../dist/host/model/plugin.js'
import type * as RouteModule from '../../../dist/host/model/route.js'
import type * as CircuitBreaker from '../../../dist/host/primitives/circuit-breaker.js'
import type * as Metrics from '../../../dist/host/telemetry/metrics.js'
import type * as PluginDoor from '../../../dist/plugin/index.js'
import type * as Clock from '../../../dist/ring/clock.js'
import type * as HostRing from '../../../dist/ring/host-ring.js'
import type * as Layout from '../../../dist/ring/layout.js'
import type * as WorkerRing from '../../../dist/ring/worker-ring.js'
import type * as WorkerLane from '../../../dist/worker/lane-life.js'

type Modules = {
  'contracts/contract': typeof Contract
  'contracts/make-hookpoint': typeof MakeHookpoint
  'contracts/types': typeof Types
  'host/primitives/circuit-breaker': typeof CircuitBreaker
  'host/calls/call-path': typeof CallPath
  'host/lanes/supervision': typeof Supervision
  'host/model/bulkhead': typeof Bulkhead
  'host/telemetry/metrics': typeof Metrics
  'host/model/lane': typeof LaneModule
  'host/model/plugin': typeof PluginState
  'host/model/hookpoint-state': typeof HookpointStateModule
  'host/model/route': typeof RouteModule
  'plugin/index': typeof PluginDoor
  'ring/clock': typeof Clock
  'ring/host-ring': typeof HostRing
  'ring/layout': typeof Layout
  'ring/worker-ring': typeof WorkerRing
  'worker/lane-life': typeof WorkerLane
}

/**
 * Imports one module of the code under test.
 * @param dist file: URL of the folder of that code
 */
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
