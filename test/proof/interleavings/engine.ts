/**
 * The host's side of a stage: the engine's own modules (dispatcher, hops, bulkhead, lane, pump, deadlines, watchdog,
 * supervisor), wired as src/host/engine.ts wires them, with the stage's threads in place of Piscina's. The stage's
 * host thread only.
 */

import type { LaneThread } from '../../../dist/host/lanes/lane-threads.js'
import type { Watch } from '../../../dist/host/lanes/watchdog.js'
import type { WorkerProfile } from '../../../dist/host/model/bulkhead.js'
import type { Call } from '../../../dist/host/model/call.js'
import type { Lane, LaneDeadline, LaneListener } from '../../../dist/host/model/lane.js'
import type { ActivePlugin, Registration } from '../../../dist/host/model/plugin.js'
import type { Snapshot } from '../../../dist/host/model/route.js'
import type { Emit } from '../../../dist/host/telemetry/events.js'
import type { Observer } from './forbidden.js'
import { HANG_MS, PLUGIN_TIMEOUT_MS } from './limits.js'
import { defineStageContract, importFrom } from './modules.js'
import type { Scenario } from './scenario.js'

/** Threads for lanes, as the stage has them. */
export interface StageThreads {
  take(): LaneThread
}

export async function importEngine(dist: string) {
  const contract = await defineStageContract(dist)
  const [
    bulkheads,
    breakers,
    calls,
    lanesModule,
    callDeadlines,
    completions,
    deadlines,
    dispatchers,
    expiries,
    hopsModule,
  ] = await Promise.all([
    importFrom(dist, 'host/model/bulkhead'),
    importFrom(dist, 'host/primitives/circuit-breaker'),
    importFrom(dist, 'host/model/call'),
    importFrom(dist, 'host/model/lane'),
    importFrom(dist, 'host/calls/call-deadlines'),
    importFrom(dist, 'host/calls/completion'),
    importFrom(dist, 'host/primitives/timing-wheel'),
    importFrom(dist, 'host/calls/dispatcher'),
    importFrom(dist, 'host/calls/expiry'),
    importFrom(dist, 'host/calls/hops'),
  ])
  const [metricsModule, states, hookpointStates, pumps, routes, supervisors, watchdogs, { monotonicMs }] =
    await Promise.all([
      importFrom(dist, 'host/telemetry/metrics'),
      importFrom(dist, 'host/model/plugin'),
      importFrom(dist, 'host/model/hookpoint-state'),
      importFrom(dist, 'host/calls/pump'),
      importFrom(dist, 'host/model/route'),
      importFrom(dist, 'host/lanes/supervisor'),
      importFrom(dist, 'host/lanes/watchdog'),
      importFrom(dist, 'ring/clock'),
    ])
  // Counters go on from schedule to schedule; nothing is decided by them.
  const metrics = new metricsModule.Metrics({ registry: undefined, prefix: 'hookring_', contract })
  const gauges = { queueDepth: () => 0, inFlight: () => 0, lanes: () => [] }
  // Encoders are compiled code.
  const hookpoints = hookpointStates.createHookpointStates(contract, metrics, 256)
  const expectedBytes = hookpoints.map((hookpoint) => hookpoint.expectedBytes)

  /** An engine whose lanes serve. */
  async function open(scenario: Scenario, threads: StageThreads, observer: Observer) {
    for (const hookpoint of hookpoints) hookpoint.expectedBytes = expectedBytes[hookpoint.index] as number
    const emit = ((name: string) => observer.emitted(name)) as Emit
    const wheel = deadlines.createDeadlines<Call | LaneDeadline | Watch>({
      buckets: 64,
      expire(entry, nowMs) {
        if (entry instanceof lanesModule.LaneDeadline) callTimes.sweep(entry, nowMs)
        else if (entry instanceof calls.Call) expiry.expire(entry, nowMs)
        else watchdog.check(entry, nowMs)
      },
    })
    const timer = deadlines.createDeadlineTimer(wheel, {
      now: monotonicMs,
      beforeExpire: () => pump.drainAll(lanes()),
    })
    const pump = pumps.createPump({
      wait: scenario.wait ?? 'park',
      spinUs: scenario.spinUs ?? 0,
      onBusy: (lane) => watchdog.busy(lane),
      onStorm: (lane) => violated(lane, 'doorbell'),
      onRoom: () => {
        if (bulkhead.queueDepth > 0) bulkhead.feed()
      },
    })
    const watchdog = new watchdogs.Watchdog({
      hangMs: HANG_MS,
      deadlines: () => timer,
      now: monotonicMs,
      onHang: (lane, hang) => supervisor.replace(lane, hang.reason, hang),
      onLate(lane) {
        lane.isLate = true
        expiry.moveUnclaimed(lane)
      },
    })
    const callTimes = callDeadlines.createCallDeadlines({
      wheel: () => timer,
      expire: (call, nowMs) => expiry.expire(call, nowMs),
    })
    const hops = hopsModule.createHops({
      maxEventBytes: 128,
      deadlines: callTimes,
      pump,
      emit,
      random: () => 0,
    })
    const dispatcher = dispatchers.createDispatcher({ contract, hops, emit, currentBatch: () => observer.observations })
    const completion = completions.createCompletion(hops, (lane, _call, kind) => violated(lane, kind))
    const listener: LaneListener = observer.watch({
      begun: callTimes.watchLane,
      completed: completion.take,
      late: () => {},
      violated: (lane, kind) => violated(lane, kind),
    })
    const expiry = expiries.createExpiry({ hops, completion, deadlines: callTimes, emit })
    const supervisor = new supervisors.Supervisor({
      threads: { take: async () => threads.take() },
      hookpoints,
      expiry,
      pump,
      watchdog,
      listener,
      emit,
      setupTimeoutMs: 1e6,
      shutdownTimeoutMs: 1e6,
      terminateGraceMs: 1e6,
      maxEventBytes: 128,
      onLog: () => {},
      servicesFor: () => async () => ({ ok: false, code: 'SERVICE_UNAVAILABLE', message: 'none here' }),
      onCrashBlamed: () => {},
      onZombie: () => {},
    })
    const bulkhead = new bulkheads.Bulkhead({
      name: 'staged',
      // What threads are made of is the stage's business.
      profile: {} as WorkerProfile,
      workers: scenario.seats ?? 1,
      slots: scenario.slots,
      maxQueue: scenario.maxQueue ?? 16,
      concurrency: scenario.concurrency ?? 4,
    })
    bulkhead.onSubmitted = pump.submitted
    bulkhead.recorder = metrics.bulkheadRecorder('staged', gauges)
    bulkhead.plugins = Array.from({ length: scenario.plugins }, (_, index) => activate(index))
    bulkhead.spec = {
      contract: { name: contract.name, version: contract.version },
      hookpoints: [],
      plugins: [],
      concurrency: bulkhead.options.concurrency,
      wait: scenario.wait ?? 'park',
      spinUs: scenario.spinUs ?? 0,
      shutdownTimeoutMs: 1e6,
    }
    const snapshot: Snapshot = { calls: observer.calls }
    for (const hookpoint of hookpoints) hookpoint.route = routes.compileRoute(hookpoint, bulkhead.plugins, snapshot)

    function activate(index: number): ActivePlugin {
      const name = `p${index}`
      const registration = {
        name,
        policies: states.resolvePolicies(scenario.onFailure),
        breaker: new breakers.Breaker(false),
      } as unknown as Registration
      return {
        registration,
        name,
        timeoutMs: PLUGIN_TIMEOUT_MS,
        breaker: registration.breaker,
        bulkhead,
        index,
        hooks: new Set(hookpoints.map((hookpoint) => hookpoint.name)),
        match: null,
        sample: 1,
        isShadow: false,
        recorders: hookpoints.map((hookpoint) => metrics.recorder({ hookpoint: hookpoint.name, plugin: name })),
      }
    }

    function violated(lane: Lane, kind: string): void {
      observer.violated(kind)
      supervisor.replace(lane, 'violation', { message: kind })
    }

    function lanes(): Lane[] {
      return bulkhead.seats.flatMap(({ lane }) => (lane === null ? [] : [lane]))
    }

    await supervisor.start(bulkhead)
    return {
      lanes,
      ask: dispatcher.ask.bind(null, hookpoints[0]!, hookpoints[0]!.route!),
      tell: dispatcher.tell.bind(null, hookpoints[1]!, hookpoints[1]!.route!),
      shutdown: () => supervisor.shutdown(bulkhead),
      stop: () => supervisor.stop(bulkhead),
      get queueDepth() {
        return bulkhead.queueDepth
      },
    }
  }

  return { open, monotonicMs }
}

export type StageEngine = Awaited<ReturnType<Awaited<ReturnType<typeof importEngine>>['open']>>
