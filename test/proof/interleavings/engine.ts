/**
 * The host's side of a stage: the engine's own call path and supervision (src/host/calls/call-path.ts,
 * src/host/lanes/supervision.ts), with the stage's threads in place of Piscina's. The stage's host thread only.
 */
import type { LaneThread } from '../../../dist/host/lanes/lane-threads.js'
import type { Bulkhead } from '../../../dist/host/model/bulkhead.js'
import type { Lane } from '../../../dist/host/model/lane.js'
import type { ActivePlugin, Registration } from '../../../dist/host/model/plugin.js'
import type { Snapshot } from '../../../dist/host/model/route.js'
import type { Emit } from '../../../dist/host/telemetry/events.js'
import type { Observer } from './forbidden.js'
import { HANG_MS, PLUGIN_TIMEOUT_MS } from './limits.js'
import { defineStageContract, importFrom } from './modules.js'
import type { Scenario } from './scenario.js'

/** The lanes' threads of a stage. */
export interface StageThreads {
  take(): LaneThread
}

/** No plugin is quarantined, because which calls are made must not depend on earlier schedules. */
const NO_QUARANTINE = { windowMs: 1000, minFailures: Number.POSITIVE_INFINITY, ratio: 1, cooldownMs: 1000 }
const MAX_EVENT_BYTES = 128

export async function importEngine(dist: string) {
  const contract = await defineStageContract(dist)
  const { createCallPath } = await importFrom(dist, 'host/calls/call-path')
  const { createSupervision } = await importFrom(dist, 'host/lanes/supervision')
  const bulkheads = await importFrom(dist, 'host/model/bulkhead')
  const states = await importFrom(dist, 'host/model/hookpoint-state')
  const { resolvePolicies } = await importFrom(dist, 'host/model/plugin')
  const { compileRoute } = await importFrom(dist, 'host/model/route')
  const { CircuitBreaker } = await importFrom(dist, 'host/primitives/circuit-breaker')
  const { Metrics } = await importFrom(dist, 'host/telemetry/metrics')
  const { monotonicMs } = await importFrom(dist, 'ring/clock')
  // Counters go on from schedule to schedule; nothing depends on them.
  const metrics = new Metrics({ registry: undefined, prefix: 'hookring_', contract })
  const gauges = { queueDepth: () => 0, inFlight: () => 0, lanes: () => [] }
  // Encoders are compiled code, so they are made once.
  const hookpoints = states.createHookpointStates(contract, metrics, 256)
  const expectedBytes = hookpoints.map((hookpoint) => hookpoint.expectedBytes)

  /** Makes an engine whose lanes serve. */
  async function open(scenario: Scenario, threads: StageThreads, observer: Observer) {
    for (const hookpoint of hookpoints) hookpoint.expectedBytes = expectedBytes[hookpoint.index] as number
    const emit = ((name: string) => observer.emitted(name)) as Emit
    const waiting = { wait: scenario.wait ?? 'park', spinUs: scenario.spinUs ?? 0 } as const
    const callPath = createCallPath({
      ...{ contract, emit, ...waiting },
      maxEventBytes: MAX_EVENT_BYTES,
      random: () => 0,
      wheelBuckets: 64,
    })
    const supervisor = createSupervision({
      ...{ callPath, hookpoints, emit, maxEventBytes: MAX_EVENT_BYTES, hangMs: HANG_MS },
      listener: observer.watch(callPath.listener),
      threads: { take: async () => threads.take() },
      setupTimeoutMs: 1e6,
      shutdownTimeoutMs: 1e6,
      terminateGraceMs: 1e6,
      onLog: () => {},
      servicesFor: () => async () => ({ ok: false, code: 'SERVICE_UNAVAILABLE', message: 'none here' }),
      onViolation: observer.violated,
      onZombie: () => {},
      blame: () => {},
    })
    const bulkhead = makeBulkhead(scenario, waiting)
    callPath.open(bulkhead)
    const snapshot: Snapshot = { calls: observer.calls }
    for (const hookpoint of hookpoints) hookpoint.route = compileRoute(hookpoint, bulkhead.plugins, snapshot)
    const lanes = (): Lane[] => bulkhead.seats.flatMap(({ lane }) => (lane === null ? [] : [lane]))
    const { dispatcher } = callPath
    const [gate, observation] = hookpoints as [(typeof hookpoints)[0], (typeof hookpoints)[0]]
    await supervisor.start(bulkhead)
    return {
      lanes,
      ask: dispatcher.ask.bind(dispatcher, gate, gate.route!),
      tell: dispatcher.tell.bind(dispatcher, observation, observation.route!),
      shutdown: () => supervisor.shutdown(bulkhead),
      stop: () => supervisor.stop(bulkhead),
      get queueDepth() {
        return bulkhead.queueDepth
      },
    }
  }

  function makeBulkhead(scenario: Scenario, waiting: { wait: 'park' | 'spin'; spinUs: number }): Bulkhead {
    const bulkhead = new bulkheads.Bulkhead({
      name: 'staged',
      // The stage decides what threads are made of.
      profile: {} as Bulkhead['options']['profile'],
      workers: scenario.seats ?? 1,
      slots: scenario.slots,
      maxQueue: scenario.maxQueue ?? 16,
      concurrency: scenario.concurrency ?? 4,
    })
    bulkhead.recorder = metrics.bulkheadRecorder('staged', gauges)
    bulkhead.plugins = Array.from({ length: scenario.plugins }, (_, index) => activate(bulkhead, index, scenario))
    bulkhead.spec = {
      contract: { name: contract.name, version: contract.version },
      hookpoints: [],
      plugins: [],
      concurrency: bulkhead.options.concurrency,
      ...waiting,
      shutdownTimeoutMs: 1e6,
      maxServiceBytes: 1_000,
    }
    return bulkhead
  }

  function activate(bulkhead: Bulkhead, index: number, scenario: Scenario): ActivePlugin {
    const name = `p${index}`
    const registration = {
      name,
      policies: resolvePolicies(scenario.onFailure),
      breaker: new CircuitBreaker(NO_QUARANTINE),
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

  return { open, monotonicMs }
}

export type StageEngine = Awaited<ReturnType<Awaited<ReturnType<typeof importEngine>>['open']>>
