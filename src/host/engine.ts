/**
 * The engine: wires the parts together and is what a server holds. Host's thread only.
 */
import { EventEmitter } from 'node:events'
import type { Contract, Hookpoints, Services } from '../contracts/contract.js'
import type { LogBatch } from '../contracts/control.js'
import { HookringError } from '../contracts/errors.js'
import { DEFAULTS, engineOptionsSchema, type Logger, type PluginOptions, parseOptions } from '../contracts/options.js'
import { monotonicMs } from '../ring/clock.js'
import type { EngineOptions, HookEngine } from './api.js'
import { createCallDeadlines } from './calls/call-deadlines.js'
import { createCompletion } from './calls/completion.js'
import { createDispatcher } from './calls/dispatcher.js'
import { createExpiry, type Expiry } from './calls/expiry.js'
import { createHooks } from './calls/hooks.js'
import { createHops } from './calls/hops.js'
import { createPump } from './calls/pump.js'
import { LaneThreads } from './lanes/lane-threads.js'
import { Supervisor } from './lanes/supervisor.js'
import { type Watch, Watchdog } from './lanes/watchdog.js'
import type { Bulkhead } from './model/bulkhead.js'
import { Call } from './model/call.js'
import { createHookpointStates } from './model/hookpoint-state.js'
import { type Lane, LaneDeadline, type LaneListener } from './model/lane.js'
import type { Registration } from './model/plugin.js'
import { createDirectory } from './plugins/plugin-lookup.js'
import { createRegistrations } from './plugins/registrations.js'
import { Registry } from './plugins/registry.js'
import { createServiceDesk } from './plugins/services.js'
import { InFlightCount } from './primitives/in-flight-count.js'
import { createDeadlines, createDeadlineTimer } from './primitives/timing-wheel.js'
import { createRecordings } from './recordings.js'
import { createEnding } from './shutdown.js'
import { createPluginSources } from './sources/locate.js'
import { createDefaultLogger } from './telemetry/default-logger.js'
import { createEmit } from './telemetry/events.js'
import { Metrics } from './telemetry/metrics.js'

/**
 * Makes an engine and starts its plugins; resolves when every lane serves.
 *
 * @throws HookringError OPTIONS_INVALID, UNTRUSTED_RUNTIME, PLUGIN_..., HOOKPOINT_UNKNOWN, BULKHEAD_FULL,
 * TYPESCRIPT_UNSUPPORTED; nothing is left running then.
 */
export async function createHookEngine<Points extends Hookpoints, Offered extends Services = Services>(
  options: EngineOptions<Points, Offered>,
): Promise<HookEngine<Points, Offered>> {
  const resolved = parseOptions(engineOptionsSchema, options, 'options')
  const contract = resolved.contract as Contract<Points, Offered>
  const desk = createServiceDesk(contract)
  desk.provide((resolved.services ?? {}) as Parameters<typeof desk.provide>[0])
  const logger: Logger = resolved.logger ?? createDefaultLogger()
  const emitter = new EventEmitter()
  const emit = createEmit(emitter, (error) => logger.error({ code: error.code, plugin: error.plugin }, error.message))
  const metrics = new Metrics({ registry: resolved.registry, prefix: resolved.metricsPrefix, contract })
  const hookpoints = createHookpointStates(contract, metrics, DEFAULTS.maxReplyBytes)
  const hookpointsByName = new Map(hookpoints.map((hookpoint) => [hookpoint.name, hookpoint]))
  const sources = createPluginSources()
  const threads = new LaneThreads({ spares: resolved.spares, contract: contract.id })
  let batch = new InFlightCount()
  let flushed: Promise<unknown> = Promise.resolve()
  const door = { isOpen: true }

  const wheel = createDeadlines<Call | LaneDeadline | Watch>({
    expire(entry, nowMs) {
      if (entry instanceof LaneDeadline) callDeadlines.sweep(entry, nowMs)
      else if (entry instanceof Call) expiry.expire(entry, nowMs)
      else watchdog.check(entry, nowMs)
    },
  })
  const deadlines = createDeadlineTimer(wheel, {
    now: monotonicMs,
    beforeExpire: () => pump.drainAll(lanesOf(registry.bulkheads)),
  })
  const pump = createPump({
    wait: resolved.wait,
    spinUs: resolved.spinUs,
    onBusy: (lane) => watchdog.busy(lane),
    onStorm: (lane) => violated(lane, 'doorbell'),
    onRoom: ({ bulkhead }) => {
      if (bulkhead.queueDepth > 0) bulkhead.feed()
    },
  })
  const watchdog = new Watchdog({
    hangMs: resolved.hangMs,
    deadlines: () => deadlines,
    now: monotonicMs,
    onHang(lane, hang) {
      blameOutsideCall(hang.reason === 'stall' ? hang.plugin : undefined)
      supervisor.replace(lane, hang.reason, hang)
    },
    onLate(lane) {
      lane.isLate = true
      expiry.moveUnclaimed(lane)
    },
  })
  const callDeadlines = createCallDeadlines({
    wheel: () => deadlines,
    expire: (call, nowMs) => expiry.expire(call, nowMs),
  })
  const hops = createHops({
    maxEventBytes: resolved.maxEventBytes,
    deadlines: callDeadlines,
    pump,
    emit,
    random: Math.random,
  })
  const dispatcher = createDispatcher({ contract, hops, emit, currentBatch: () => batch })
  const completion = createCompletion(hops, (lane, call, kind) => violated(lane, kind, call))
  const listener: LaneListener = {
    begun: callDeadlines.watchLane,
    completed: completion.take,
    late(_lane, { plugin, hookpoint }) {
      if (plugin !== null) plugin.recorders[hookpoint.index]!.late += 1
    },
    violated: (lane, kind) => violated(lane, kind),
  }
  const expiry: Expiry = createExpiry({ hops, completion, deadlines: callDeadlines, emit })
  const supervisor: Supervisor = new Supervisor({
    threads,
    hookpoints,
    expiry,
    pump,
    watchdog,
    listener,
    emit,
    setupTimeoutMs: resolved.setupTimeoutMs,
    shutdownTimeoutMs: resolved.shutdownTimeoutMs,
    terminateGraceMs: resolved.terminateGraceMs,
    maxEventBytes: resolved.maxEventBytes,
    onLog: receiveLog,
    servicesFor: (bulkhead) =>
      desk.forLane((index) => {
        // While the lane starts, its plugins are known by what is to be loaded alone.
        const { services, name } = bulkhead.spec?.plugins[index] ?? {}
        if (services === undefined || name === undefined) return undefined
        return { plugin: bulkhead.plugins[index]?.name ?? name, services }
      }),
    onCrashBlamed: blameOutsideCall,
    onZombie(change) {
      metrics.zombies += change
    },
  })
  const registrations = createRegistrations({
    engine: resolved,
    sources,
    desk,
    onBreaker(registration, { to, calls, failures }) {
      registry.refreshGuards()
      if (to === 'open' || to === 'held') {
        const by = to === 'held' ? 'operator' : 'failures'
        emit('pluginQuarantined', { plugin: registration.name, by, calls, failures })
        logger.warn({ plugin: registration.name, calls, failures }, `quarantined by ${by}`)
      } else if (to === 'closed') {
        emit('pluginReleased', { plugin: registration.name })
      }
    },
  })
  const registry = new Registry({
    contract,
    hookpoints,
    metrics,
    supervisor,
    emit,
    defaults: {
      hangMs: resolved.hangMs,
      env: process.env,
      workers: resolved.workers,
      limits: {
        memoryMb: resolved.limits?.memoryMb ?? DEFAULTS.memoryMb,
        concurrency: resolved.limits?.concurrency ?? DEFAULTS.concurrency,
        queue: resolved.limits?.queue ?? DEFAULTS.maxQueue,
        slots: resolved.limits?.slots ?? DEFAULTS.slots,
      },
    },
    lane: {
      wait: resolved.wait,
      spinUs: resolved.spinUs,
      shutdownTimeoutMs: resolved.shutdownTimeoutMs,
      setupTimeoutMs: resolved.setupTimeoutMs,
    },
    onBulkhead(bulkhead) {
      bulkhead.onSubmitted = pump.submitted
    },
  })

  const directory = createDirectory(registry)
  const recordings = createRecordings({
    contract,
    logger,
    stopTimeoutMs: resolved.closeTimeoutMs,
    add,
    remove,
    recordersOf: (name) => Object.values(registry.find(name)?.recorders ?? []),
  })

  const ending = createEnding({
    closeTimeoutMs: resolved.closeTimeoutMs,
    door,
    registry,
    supervisor,
    expiry,
    recordings,
    threads,
    deadlines,
    sources,
    metrics,
  })

  // In its turn, so that plugins that are added at once stand in the order in which they were.
  async function add(plugin: unknown): Promise<void> {
    await registry.change(async (current) => [...current, await registrations.create(plugin, 'plugin')])
  }

  async function remove(name: string): Promise<void> {
    const registration = directory.found(name)
    await registry.change((current) => current.filter((other) => other.order !== registration.order))
  }

  /** A worker that breaks the protocol: counted, blamed, replaced. */
  function violated(lane: Lane, kind: Parameters<LaneListener['violated']>[1], call?: Call): void {
    lane.bulkhead.recorder?.recordViolation(kind)
    for (const { breaker } of lane.bulkhead.plugins) breaker.record('failure', monotonicMs())
    const plugins = lane.bulkhead.plugins.map((plugin) => plugin.name)
    supervisor.replace(lane, 'violation', {
      plugin: plugins.length === 1 ? plugins[0] : undefined,
      hookpoint: call?.hookpoint.name,
      message: `its worker broke the ring's protocol (${kind})`,
    })
  }

  function blameOutsideCall(plugin: string | undefined): void {
    if (plugin !== undefined) registry.find(plugin)?.breaker.record('failure', monotonicMs())
  }

  function receiveLog(bulkhead: Bulkhead, { lines, dropped }: LogBatch): void {
    for (const line of lines) {
      if (recordings.hears(line)) continue
      const { level, plugin, message, fields, uncaught } = line
      logger[level]({ ...fields, plugin, bulkhead: bulkhead.name }, message)
      if (uncaught) blameOutsideCall(plugin)
    }
    if (dropped === 0) return
    if (bulkhead.recorder !== null) bulkhead.recorder.droppedLogLines += dropped
    logger.warn({ bulkhead: bulkhead.name, dropped }, 'log lines of plugins were dropped')
  }

  function unknownHookpoint(hookpoint: unknown): HookringError {
    const known = [...hookpointsByName.keys()].join(', ')
    return new HookringError(
      'HOOKPOINT_UNKNOWN',
      `${contract.id} has no hookpoint ${String(hookpoint)}; it has ${known}`,
    )
  }

  function checkOpen(): void {
    if (!door.isOpen) throw new HookringError('ENGINE_CLOSED', 'the engine is closing or closed')
  }

  const engine: HookEngine<Points, Offered> = {
    contract,
    hooks: createHooks<Points>(contract, hookpoints, dispatcher, door, emit),
    registry: metrics.registry,
    get plugins() {
      return directory.list()
    },
    isSubscribed(name) {
      const hookpoint = hookpointsByName.get(name)
      if (hookpoint === undefined) throw unknownHookpoint(name)
      return hookpoint.route !== null || !door.isOpen
    },
    async add(plugin) {
      checkOpen()
      await add(plugin)
    },
    async remove(name) {
      checkOpen()
      await remove(name)
    },
    provide(services) {
      checkOpen()
      desk.provide(services as Parameters<typeof desk.provide>[0])
    },
    async record(file, options) {
      checkOpen()
      return recordings.start(file, options)
    },
    async reload(name, changes = {}) {
      checkOpen()
      const { order } = directory.found(name)
      await registry.change(async (current) => {
        // As it is in its turn: changes that were asked for before this one are made by now.
        const present = current.find((other) => other.order === order)
        if (present === undefined) throw directory.unknown(name)
        const wanted = typeof changes === 'function' ? changes(present.options as Readonly<PluginOptions>) : changes
        if (wanted === null) return current
        const renewed = await registrations.renew(present, wanted)
        return current.map((other) => (other === present ? renewed : other))
      })
    },
    quarantine: (name) => directory.found(name).breaker.hold(monotonicMs()),
    release: (name) => directory.found(name).breaker.release(monotonicMs()),
    async flush() {
      const mine = batch.whenZero()
      batch = new InFlightCount()
      // Those that an earlier flush waits for were told before as well.
      flushed = Promise.all([flushed, mine])
      await flushed
    },
    shutdown: ending.shutdown,
    close: ending.close,
    [Symbol.asyncDispose]: () => engine.close(),
    on(name, listen) {
      emitter.on(name, listen as (...args: unknown[]) => void)
      return this
    },
    once(name, listen) {
      emitter.once(name, listen as (...args: unknown[]) => void)
      return this
    },
    off(name, listen) {
      emitter.off(name, listen as (...args: unknown[]) => void)
      return this
    },
  }

  try {
    const first: Registration[] = []
    for (const [index, plugin] of resolved.plugins.entries())
      first.push(await registrations.create(plugin, `plugins[${index}]`))
    await registry.change(() => first)
  } catch (error) {
    await engine.close()
    throw error
  }
  return engine
}

function* lanesOf(bulkheads: readonly Bulkhead[]): Iterable<Lane> {
  for (const { seats } of bulkheads) for (const { lane } of seats) if (lane !== null) yield lane
}
