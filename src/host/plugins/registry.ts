/**
 * The plugins of an engine, and the bulkheads and routes that they need. Changes are made one after the other, and each
 * as a whole: a new snapshot is started beside the present one, then takes over. What only the old one used is stopped
 * when its last call has settled. If something does not start, nothing changes. Host's thread only.
 */
import type { Contract } from '../../contracts/contract.js'
import type { HandOver, LaneSpec, Manifest } from '../../contracts/control.js'
import type { HookringError } from '../../contracts/errors.js'
import { DEFAULTS } from '../../contracts/options.js'
import { within } from '../../primitives/within.js'
import { monotonicMs } from '../../ring/clock.js'
import { compilePartition } from '../fields/partition.js'
import type { Supervisor } from '../lanes/supervisor.js'
import { Bulkhead } from '../model/bulkhead.js'
import { type HookpointState, hookpointSpecs } from '../model/hookpoint-state.js'
import type { ActivePlugin, Registration } from '../model/plugin.js'
import { compileRoute, type Snapshot, stepsIn } from '../model/route.js'
import { InFlightCount } from '../primitives/in-flight-count.js'
import { compilerKind } from '../sources/compiler/index.js'
import type { Emit } from '../telemetry/events.js'
import type { Metrics } from '../telemetry/metrics.js'
import type { BulkheadGauges } from '../telemetry/recorders.js'
import { activate, checkNames, inChainOrder, shapesOf } from './activation.js'
import { type BulkheadPlan, isSamePlan, type PlanDefaults, planBulkheads } from './bulkhead-plan.js'

export interface RegistryOptions {
  readonly contract: Pick<Contract, 'name' | 'version'>
  readonly hookpoints: readonly HookpointState[]
  readonly metrics: Metrics
  readonly supervisor: Pick<Supervisor, 'start' | 'stop' | 'handOver'>
  readonly emit: Emit
  readonly defaults: PlanDefaults
  readonly lane: Pick<LaneSpec, 'wait' | 'spinUs' | 'shutdownTimeoutMs' | 'setupTimeoutMs' | 'maxServiceBytes'>
  /** No lane loads from these URLs any more. */
  releaseSources(urls: readonly string[]): void
  /** A bulkhead was made; the engine connects it to the pump. */
  onBulkhead(bulkhead: Bulkhead): void
}

/** Returns the registrations that replace the present ones. */
type Change = (current: readonly Registration[]) => readonly Registration[] | Promise<readonly Registration[]>

interface PluginSnapshot extends Snapshot {
  readonly registrations: readonly Registration[]
  readonly bulkheads: ReadonlyMap<string, RunningBulkhead>
  readonly plugins: readonly ActivePlugin[]
}

interface RunningBulkhead {
  readonly plan: BulkheadPlan
  readonly bulkhead: Bulkhead
  readonly manifests: readonly Manifest[]
}

export class Registry {
  readonly #options: RegistryOptions
  #current: PluginSnapshot = { calls: new InFlightCount(), registrations: [], bulkheads: new Map(), plugins: [] }
  /** Snapshots that were replaced and still have calls under way. */
  readonly #leaving = new Set<PluginSnapshot>()
  /** Snapshots whose last call has settled, with the promise that what only they used has stopped. */
  readonly #stopping = new Map<PluginSnapshot, Promise<unknown>>()
  #defaults: PlanDefaults
  #tellChanged: () => void = () => {}
  #lastChange: Promise<unknown> = Promise.resolve()

  constructor(options: RegistryOptions) {
    this.#options = options
    this.#defaults = options.defaults
  }

  /** The present snapshot's. */
  get registrations(): readonly Registration[] {
    return this.#current.registrations
  }

  /** Those of the present snapshot, and of earlier ones that still have calls under way. */
  get bulkheads(): readonly Bulkhead[] {
    const all = [this.#current, ...this.#leaving].flatMap(({ bulkheads }) => [...bulkheads.values()])
    return [...new Set(all.map(({ bulkhead }) => bulkhead))]
  }

  /** Calls and observations that have not settled, of all snapshots. */
  get unsettled(): number {
    return [this.#current, ...this.#leaving].reduce((count, { calls }) => count + calls.count, 0)
  }

  find(plugin: string): ActivePlugin | undefined {
    return this.#current.plugins.find(({ name }) => name === plugin)
  }

  /**
   * Replaces all registrations by those that `next` returns.
   * @throws HookringError PLUGIN_..., OPTIONS_INVALID, BULKHEAD_FULL
   */
  change(next: Change): Promise<void> {
    const mine = this.#lastChange.then(async () => this.#install(await next(this.#current.registrations)))
    this.#lastChange = mine.catch(() => {})
    return mine
  }

  /** Lanes of modules say what imports what from now on; those that do not yet start anew. @throws as `change` does */
  reportImports(): Promise<void> {
    this.#defaults = { ...this.#defaults, reportsImports: true }
    return this.change((current) => current)
  }

  /** Told after each change. */
  onChanged(hear: () => void): void {
    this.#tellChanged = hear
  }

  /** Updates the routes after a breaker has changed its state. */
  refreshGuards(): void {
    for (const { route } of this.#options.hookpoints) {
      if (route === null) continue
      for (const step of stepsIn(route)) step.isGuarded = step.plugins.some(({ breaker }) => breaker.state !== 'closed')
    }
  }

  /** Resolves when no call and no observation is under way. */
  async whenSettled(): Promise<void> {
    await Promise.all([this.#current, ...this.#leaving].map(({ calls }) => calls.whenZero()))
  }

  /** Stops everything. */
  async close(): Promise<void> {
    await this.#lastChange
    for (const hookpoint of this.#options.hookpoints) hookpoint.route = null
    const stops = this.bulkheads.map((bulkhead) => this.#options.supervisor.stop(bulkhead))
    await Promise.all([...stops, ...this.#stopping.values()])
  }

  async #install(registrations: readonly Registration[]): Promise<void> {
    const started: RunningBulkhead[] = []
    const handingOver = new Set<Bulkhead>()
    const tell = (step: HandOver) =>
      Promise.all([...handingOver].map((bulkhead) => this.#options.supervisor.handOver(bulkhead, step)))
    try {
      const plans = planBulkheads(registrations, this.#defaults)
      const running = await this.#start(plans, started, handingOver)
      // What has waited in the lanes that leave goes on before what comes to those that follow them.
      await tell('done')
      this.#takeOver(registrations, running)
    } catch (error) {
      await Promise.all(started.map(({ bulkhead }) => this.#options.supervisor.stop(bulkhead)))
      await tell('back')
      this.#forgetUnused(registrations)
      throw error
    }
  }

  /** Starts the bulkheads that differ from the present ones, and adds each to `started` when it has started. */
  async #start(
    plans: ReadonlyMap<string, BulkheadPlan>,
    started: RunningBulkhead[],
    handingOver: Set<Bulkhead>,
  ): Promise<Map<string, RunningBulkhead>> {
    const running = new Map<string, RunningBulkhead>()
    const starting = [...plans.values()].map(async (plan) => {
      const kept = this.#current.bulkheads.get(plan.name)
      if (kept !== undefined && isSamePlan(kept.plan, plan)) {
        running.set(plan.name, kept)
        return
      }
      const fresh = await this.#startWithCompiler(plan, handingOver)
      started.push(fresh)
      running.set(plan.name, fresh)
    })
    // Wait for all of them: none may start after a failure has stopped those in `started`.
    const failed = (await Promise.allSettled(starting)).find((result) => result.status === 'rejected')
    if (failed !== undefined) throw failed.reason
    return running
  }

  /** A plugin in JavaScript that imports TypeScript, which its lane could not load: once more, with a compiler. */
  async #startWithCompiler(plan: BulkheadPlan, handingOver: Set<Bulkhead>): Promise<RunningBulkhead> {
    try {
      return await this.#startBulkhead(plan, handingOver)
    } catch (error) {
      if ((error as Partial<HookringError>).code !== 'TYPESCRIPT_UNSUPPORTED') throw error
      const importers = plan.registrations.filter(
        ({ runtime, boundary }) => runtime === 'module' && boundary === 'thread',
      )
      if (plan.profile.loadsTypeScript || importers.length === 0 || compilerKind() === null) throw error
      for (const registration of importers) registration.loadsTypeScript = true
      return this.#startBulkhead({ ...plan, profile: { ...plan.profile, loadsTypeScript: true } }, handingOver)
    }
  }

  async #startBulkhead(plan: BulkheadPlan, handingOver: Set<Bulkhead>): Promise<RunningBulkhead> {
    const { supervisor, onBulkhead } = this.#options
    let isHandedOver = true
    if (plan.registrations.some(isRemote)) {
      await this.#lastStops()
      for (const predecessor of this.#predecessorsOf(plan)) {
        handingOver.add(predecessor)
        isHandedOver = (await supervisor.handOver(predecessor, 'begin')) && isHandedOver
      }
    }
    const bulkhead = new Bulkhead(plan)
    bulkhead.spec = this.#specOf(plan, isHandedOver)
    onBulkhead(bulkhead)
    const manifests = await supervisor.start(bulkhead)
    try {
      this.#activate(bulkhead, plan, manifests)
    } catch (error) {
      await supervisor.stop(bulkhead)
      throw error
    }
    return { plan, bulkhead, manifests }
  }

  /** Present bulkheads with remote providers that are loaded anew. */
  #predecessorsOf({ registrations }: BulkheadPlan): Bulkhead[] {
    const orders = new Set(registrations.filter(isRemote).map(({ order }) => order))
    return [...this.#current.bulkheads.values()]
      .filter(({ plan }) => plan.registrations.some((present) => isRemote(present) && orders.has(present.order)))
      .map(({ bulkhead }) => bulkhead)
  }

  #specOf(plan: BulkheadPlan, isHandedOver: boolean): Bulkhead['spec'] {
    const { contract, hookpoints, lane } = this.#options
    return {
      contract: { name: contract.name, version: contract.version },
      hookpoints: hookpointSpecs(hookpoints),
      plugins: plan.registrations.map(({ name, options, url, timeoutMs, runtime, boundary, policies, order }) => ({
        name,
        isNamed: options.name !== undefined,
        url,
        config: options.config,
        timeoutMs,
        runtime,
        boundary,
        version: options.version,
        memoryMb: options.limits?.memoryMb ?? DEFAULTS.guestMemoryMb,
        services: options.services ?? [],
        onError: policies.gate.error === 'allow' ? 'allow' : 'deny',
        isReload: !isHandedOver && this.#current.registrations.some((present) => present.order === order),
      })),
      concurrency: plan.concurrency,
      ...lane,
    }
  }

  /**
   * Its plugins have reported their names and hooks.
   * @throws HookringError OPTIONS_INVALID
   */
  #activate(bulkhead: Bulkhead, { registrations, partitionBy }: BulkheadPlan, manifests: readonly Manifest[]): void {
    const { hookpoints, metrics, emit } = this.#options
    for (const [index, registration] of registrations.entries()) registration.name = (manifests[index] as Manifest).name
    bulkhead.plugins = registrations.map((registration, index) => {
      const hooks = new Set((manifests[index] as Manifest).hooks)
      return activate({ registration, bulkhead, index, hooks, hookpoints, metrics, emit })
    })
    if (partitionBy === null) return
    const hooked = new Set(bulkhead.plugins.flatMap(({ hooks }) => [...hooks]))
    bulkhead.partition = compilePartition(partitionBy, shapesOf(hookpoints, hooked))
  }

  #takeOver(registrations: readonly Registration[], bulkheads: ReadonlyMap<string, RunningBulkhead>): void {
    const { hookpoints, metrics } = this.#options
    const plugins = [...bulkheads.values()].flatMap(({ bulkhead }) => bulkhead.plugins).sort(inChainOrder)
    checkNames(plugins)
    const previous = this.#current
    keepHeld(previous.registrations, registrations)
    for (const { bulkhead } of bulkheads.values())
      bulkhead.recorder = metrics.bulkheadRecorder(bulkhead.name, gaugesOf(bulkhead))
    for (const { name, breaker } of plugins) metrics.watchQuarantine(name, () => breaker.state)
    this.#current = { calls: new InFlightCount(), registrations, bulkheads, plugins }
    for (const hookpoint of hookpoints) hookpoint.route = compileRoute(hookpoint, plugins, this.#current)
    for (const { name } of previous.plugins) if (this.find(name) === undefined) metrics.removePlugin(name)
    for (const name of previous.bulkheads.keys()) if (!bulkheads.has(name)) metrics.removeBulkhead(name)
    this.#leaving.add(previous)
    this.#tellChanged()
    void previous.calls.whenZero().then(() => this.#retire(previous))
  }

  /** The snapshot's last call has settled: stops the bulkheads that no other snapshot uses. */
  async #retire(snapshot: PluginSnapshot): Promise<void> {
    // Do this first, so that of two snapshots that end together one stops what they share.
    this.#leaving.delete(snapshot)
    const kept = new Set([this.#current, ...this.#leaving].flatMap(({ bulkheads }) => [...bulkheads.values()]))
    const over = [...snapshot.bulkheads.values()].filter((running) => !kept.has(running))
    const stopped = Promise.all(over.map(({ bulkhead }) => this.#stopRetired(bulkhead)))
    this.#stopping.set(snapshot, stopped)
    await stopped
    this.#stopping.delete(snapshot)
    this.#releaseUnused(snapshot.registrations)
  }

  /** A change has failed: removes the metrics of plugins that only it had. */
  #forgetUnused(registrations: readonly Registration[]): void {
    const { metrics } = this.#options
    for (const { name } of registrations) if (this.find(name) === undefined) metrics.removePlugin(name)
    this.#releaseUnused(registrations)
  }

  /** Releases the sources of plugins that no snapshot has any more. */
  #releaseUnused(registrations: readonly Registration[]): void {
    const snapshots = [this.#current, ...this.#leaving, ...this.#stopping.keys()]
    const used = new Set(snapshots.flatMap((snapshot) => snapshot.registrations))
    this.#options.releaseSources(registrations.filter((each) => !used.has(each)).map(({ url }) => url))
  }

  /**
   * A remote provider must be told that it is unloaded before it is loaded again; otherwise it would lose its new state.
   * Calls that still pass it are waited for, but not for ever.
   */
  async #lastStops(): Promise<void> {
    const settled = Promise.all([...this.#leaving].map(({ calls }) => calls.whenZero()))
    await within(
      settled.then(() => Promise.all(this.#stopping.values())),
      this.#options.lane.shutdownTimeoutMs,
    )
  }

  #stopRetired(bulkhead: Bulkhead): Promise<void> {
    for (let lane = 0; lane < bulkhead.seats.length; lane += 1) bulkhead.recorder?.recordRestart('reload')
    const present = new Set(this.#current.registrations.map(({ order }) => order))
    bulkhead.isSucceeded = bulkhead.plugins.every(({ registration }) => present.has(registration.order))
    return this.#options.supervisor.stop(bulkhead)
  }
}

/** A provider elsewhere, with one session at a time. */
function isRemote({ runtime }: Registration): boolean {
  return runtime === 'exhook'
}

/**
 * An operator's quarantine is of the plugin, not of one version. It may have begun or ended while the new version
 * started.
 */
function keepHeld(before: readonly Registration[], after: readonly Registration[]): void {
  for (const registration of after) {
    const old = before.find((other) => other.order === registration.order)
    if (old !== registration && old?.breaker.state === 'held') registration.breaker.hold(monotonicMs())
  }
}

function gaugesOf(bulkhead: Bulkhead): BulkheadGauges {
  return {
    queueDepth: () => bulkhead.queueDepth,
    inFlight: () => bulkhead.inFlight,
    *lanes() {
      for (const { index, lane } of bulkhead.seats) if (lane !== null) yield { lane: index, occupancy: lane.occupancy }
    },
  }
}
