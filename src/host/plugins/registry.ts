/**
 * The plugins of an engine and what they make of its hookpoints: registrations, bulkheads, routes. Changes are made one
 * after the other, each as a whole: a new snapshot is started beside the old one, takes over, and the old one is let go
 * when its last call has settled. What does not start changes nothing. Host's thread only.
 */
import type { Contract } from '../../contracts/contract.js'
import type { LaneSpec, Manifest } from '../../contracts/control.js'
import { HookringError } from '../../contracts/errors.js'
import { DEFAULTS } from '../../contracts/options.js'
import { monotonicMs } from '../../ring/clock.js'
import { compileMatch } from '../fields/match.js'
import { compilePartition, type EventShape } from '../fields/partition.js'
import type { Supervisor } from '../lanes/supervisor.js'
import { Bulkhead } from '../model/bulkhead.js'
import { type HookpointState, hookpointSpecs } from '../model/hookpoint-state.js'
import type { ActivePlugin, Registration } from '../model/plugin.js'
import { compileRoute, type Snapshot, stepsIn } from '../model/route.js'
import { InFlightCount } from '../primitives/in-flight-count.js'
import type { Emit } from '../telemetry/events.js'
import type { Metrics } from '../telemetry/metrics.js'
import type { PluginRecorder } from '../telemetry/recorders.js'
import { type BulkheadPlan, type PlanDefaults, planBulkheads } from './bulkhead-plan.js'

export interface RegistryOptions {
  readonly contract: Contract
  readonly hookpoints: readonly HookpointState[]
  readonly metrics: Metrics
  readonly supervisor: Supervisor
  readonly emit: Emit
  readonly defaults: PlanDefaults
  readonly lane: Pick<LaneSpec, 'wait' | 'spinUs' | 'shutdownTimeoutMs' | 'setupTimeoutMs'>
  /** A bulkhead has come to be: for the engine to wire it to the pump. */
  onBulkhead(bulkhead: Bulkhead): void
}

export interface Registry {
  /** Puts `next` in place of all registrations. @throws HookringError PLUGIN_..., OPTIONS_INVALID, BULKHEAD_FULL */
  change(
    next: (current: readonly Registration[]) => readonly Registration[] | Promise<readonly Registration[]>,
  ): Promise<void>
  readonly registrations: readonly Registration[]
  readonly bulkheads: readonly Bulkhead[]
  find(plugin: string): ActivePlugin | undefined
  /** After a breaker has changed its state. */
  refreshGuards(): void
  /** Calls and observations that have not settled, of the present snapshot and of those that are let go. */
  whenSettled(): Promise<void>
  readonly unsettled: number
  /** Stops everything. */
  close(): Promise<void>
}

interface Current extends Snapshot {
  readonly registrations: readonly Registration[]
  readonly bulkheads: ReadonlyMap<string, RunningBulkhead>
  readonly plugins: readonly ActivePlugin[]
}

interface RunningBulkhead {
  readonly plan: BulkheadPlan
  readonly bulkhead: Bulkhead
  readonly manifests: readonly Manifest[]
}

export function createRegistry(options: RegistryOptions): Registry {
  const { contract, hookpoints, metrics, supervisor, defaults } = options
  const specs = hookpointSpecs(hookpoints)
  let current: Current = { calls: new InFlightCount(), registrations: [], bulkheads: new Map(), plugins: [] }
  const leaving = new Set<Current>()
  const stopping = new Set<Promise<unknown>>()
  let lastChange: Promise<unknown> = Promise.resolve()

  function change(next: Parameters<Registry['change']>[0]): Promise<void> {
    const mine = lastChange.then(async () => install(await next(current.registrations)))
    lastChange = mine.catch(() => {})
    return mine
  }

  async function install(registrations: readonly Registration[]): Promise<void> {
    const started: RunningBulkhead[] = []
    try {
      const plans = planBulkheads(registrations, defaults)
      const running = new Map<string, RunningBulkhead>()
      const starting = [...plans.values()].map(async (plan) => {
        const kept = current.bulkheads.get(plan.name)
        if (kept !== undefined && samePlan(kept.plan, plan)) {
          running.set(plan.name, kept)
          return
        }
        const fresh = await startBulkhead(plan)
        started.push(fresh)
        running.set(plan.name, fresh)
      })
      const failed = (await Promise.allSettled(starting)).find((result) => result.status === 'rejected')
      if (failed !== undefined) throw failed.reason
      takeOver(registrations, running)
    } catch (error) {
      await Promise.all(started.map(({ bulkhead }) => supervisor.stop(bulkhead)))
      throw error
    }
  }

  async function startBulkhead(plan: BulkheadPlan): Promise<RunningBulkhead> {
    const bulkhead = new Bulkhead(plan)
    bulkhead.spec = {
      contract: { name: contract.name, version: contract.version },
      hookpoints: specs,
      plugins: plan.registrations.map((registration) => ({
        name: registration.name,
        isNamed: registration.options.name !== undefined,
        url: registration.url,
        config: registration.options.config,
        timeoutMs: registration.timeoutMs,
        runtime: registration.runtime,
        boundary: registration.boundary,
        version: registration.options.version,
        memoryMb: registration.options.limits?.memoryMb ?? DEFAULTS.guestMemoryMb,
        services: registration.options.services ?? [],
      })),
      concurrency: plan.concurrency,
      ...options.lane,
    }
    options.onBulkhead(bulkhead)
    const manifests = await supervisor.start(bulkhead)
    try {
      for (const [index, registration] of plan.registrations.entries())
        registration.name = (manifests[index] as Manifest).name
      bulkhead.plugins = plan.registrations.map((registration, index) =>
        activate(registration, bulkhead, index, manifests[index] as Manifest),
      )
      bulkhead.partition =
        plan.partitionBy === null ? null : compilePartition(plan.partitionBy, shapesOf(bulkhead.plugins))
    } catch (error) {
      await supervisor.stop(bulkhead)
      throw error
    }
    return { plan, bulkhead, manifests }
  }

  function activate(registration: Registration, bulkhead: Bulkhead, index: number, manifest: Manifest): ActivePlugin {
    const { name, options: chosen } = registration
    const hooks = new Set(manifest.hooks)
    const shapes = hookpoints
      .filter((hookpoint) => hooks.has(hookpoint.name))
      .map(({ name, definition: { plan } }) => ({ hookpoint: name, plan }))
    const onError = (error: unknown) =>
      options.emit(
        'error',
        new HookringError('OPTIONS_INVALID', `match of plugin ${name} threw, the plugin is called: ${String(error)}`, {
          plugin: name,
          cause: error,
        }),
      )
    const recorders: PluginRecorder[] = []
    for (const hookpoint of hookpoints) {
      if (hooks.has(hookpoint.name))
        recorders[hookpoint.index] = metrics.recorder({ hookpoint: hookpoint.name, plugin: name })
    }
    return {
      registration,
      name,
      timeoutMs: registration.timeoutMs,
      breaker: registration.breaker,
      bulkhead,
      index,
      hooks,
      match: chosen.match === undefined ? null : compileMatch(chosen.match, { shapes, onError }),
      sample: chosen.sample,
      isShadow: chosen.mode === 'shadow',
      recorders,
    }
  }

  function shapesOf(plugins: readonly ActivePlugin[]): EventShape[] {
    return hookpoints
      .filter((hookpoint) => plugins.some((plugin) => plugin.hooks.has(hookpoint.name)))
      .map(({ name, definition: { plan } }) => ({ hookpoint: name, plan }))
  }

  function takeOver(registrations: readonly Registration[], bulkheads: ReadonlyMap<string, RunningBulkhead>): void {
    const plugins = [...bulkheads.values()].flatMap(({ bulkhead }) => bulkhead.plugins).sort(inChainOrder)
    checkNames(plugins)
    const previous = current
    keepHeld(previous.registrations, registrations)
    const snapshot: Current = { calls: new InFlightCount(), registrations, bulkheads, plugins }
    for (const { bulkhead } of bulkheads.values()) {
      bulkhead.recorder = metrics.bulkheadRecorder(bulkhead.name, gaugesOf(bulkhead))
    }
    for (const { name, breaker } of plugins) metrics.watchQuarantine(name, () => breaker.state)
    current = snapshot
    for (const hookpoint of hookpoints) hookpoint.route = compileRoute(hookpoint, plugins, snapshot)
    for (const { name } of previous.plugins)
      if (!plugins.some((plugin) => plugin.name === name)) metrics.removePlugin(name)
    for (const name of previous.bulkheads.keys()) if (!bulkheads.has(name)) metrics.removeBulkhead(name)
    leaving.add(previous)
    void previous.calls.whenZero().then(() => retire(previous))
  }

  /** The snapshot's last call has settled: bulkheads that no other snapshot uses are stopped. */
  async function retire(snapshot: Current): Promise<void> {
    // First of all, so that of two snapshots that end together one stops what they share.
    leaving.delete(snapshot)
    const kept = new Set([current, ...leaving].flatMap((other) => [...other.bulkheads.values()]))
    const over = [...snapshot.bulkheads.values()].filter((running) => !kept.has(running))
    const stopped = Promise.all(
      over.map(({ bulkhead }) => {
        for (let lane = 0; lane < bulkhead.seats.length; lane += 1) bulkhead.recorder?.recordRestart('reload')
        return supervisor.stop(bulkhead)
      }),
    )
    stopping.add(stopped)
    await stopped
    stopping.delete(stopped)
  }

  return {
    change,
    get registrations() {
      return current.registrations
    },
    get bulkheads() {
      return [
        ...new Set(
          [current, ...leaving].flatMap((snapshot) => [...snapshot.bulkheads.values()].map(({ bulkhead }) => bulkhead)),
        ),
      ]
    },
    find: (name) => current.plugins.find((plugin) => plugin.name === name),
    refreshGuards() {
      for (const hookpoint of hookpoints) {
        if (hookpoint.route === null) continue
        for (const step of stepsIn(hookpoint.route))
          step.isGuarded = step.plugins.some((plugin) => plugin.breaker.state !== 'closed')
      }
    },
    async whenSettled() {
      await Promise.all([current, ...leaving].map((snapshot) => snapshot.calls.whenZero()))
    },
    get unsettled() {
      return [current, ...leaving].reduce((count, snapshot) => count + snapshot.calls.count, 0)
    },
    async close() {
      await lastChange
      for (const hookpoint of hookpoints) hookpoint.route = null
      const all = this.bulkheads
      await Promise.all([...all.map((bulkhead) => supervisor.stop(bulkhead)), ...stopping])
    },
  }
}

function inChainOrder(a: ActivePlugin, b: ActivePlugin): number {
  const { registration: first } = a
  const { registration: second } = b
  return second.options.priority - first.options.priority || first.order - second.order
}

/** An operator's quarantine is of the plugin, not of a version; it may have come or gone while the new one started. */
function keepHeld(before: readonly Registration[], after: readonly Registration[]): void {
  for (const registration of after) {
    const old = before.find((other) => other.order === registration.order)
    if (old !== registration && old?.breaker.state === 'held') registration.breaker.hold(monotonicMs())
  }
}

function samePlan(a: BulkheadPlan, b: BulkheadPlan): boolean {
  return (
    a.registrations.length === b.registrations.length &&
    a.registrations.every((registration, index) => registration === b.registrations[index]) &&
    JSON.stringify({ ...a, registrations: [] }) === JSON.stringify({ ...b, registrations: [] })
  )
}

function checkNames(plugins: readonly ActivePlugin[]): void {
  const seen = new Set<string>()
  for (const { name } of plugins) {
    if (seen.has(name)) {
      throw new HookringError(
        'PLUGIN_NAME_TAKEN',
        `two plugins are called ${name}; give one another name in its options`,
        { plugin: name },
      )
    }
    seen.add(name)
  }
}

function gaugesOf(bulkhead: Bulkhead) {
  return {
    queueDepth: () => bulkhead.queueDepth,
    inFlight: () => bulkhead.inFlight,
    *lanes() {
      for (const { index, lane } of bulkhead.seats) if (lane !== null) yield { lane: index, occupancy: lane.occupancy }
    },
  }
}
