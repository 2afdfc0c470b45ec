/** What calls touch, as stand-ins without threads and memory: for tests of what decides about calls. */

import type { FailurePolicy } from '../../dist/contracts/policy.js'
import type { Bulkhead } from '../../dist/host/model/bulkhead.js'
import { Call } from '../../dist/host/model/call.js'
import type { HookpointState } from '../../dist/host/model/hookpoint-state.js'
import type { Lane } from '../../dist/host/model/lane.js'
import { type ActivePlugin, resolvePolicies } from '../../dist/host/model/plugin.js'
import { compileRoute } from '../../dist/host/model/route.js'
import { CircuitBreaker } from '../../dist/host/primitives/circuit-breaker.js'
import { InFlightCount } from '../../dist/host/primitives/in-flight-count.js'

export const TIMEOUT_MS = 100

export interface PluginStandIn {
  readonly name: string
  /** Plugins of the same one share a trip. */
  readonly bulkhead?: string
  readonly onFailure?: FailurePolicy
}

export interface SceneOptions {
  readonly kind?: 'gate' | 'observe' | 'transform' | 'respond'
  readonly plugins: readonly PluginStandIn[]
  /** Whether lanes take calls. */
  readonly hasRoom?: boolean
  /** Calls that may wait. */
  readonly maxQueue?: number
}

/** A hookpoint with plugins in bulkheads that have one lane each. What is submitted stays there until a test says more. */
export function createScene({ kind = 'gate', plugins, hasRoom = true, maxQueue = 0 }: SceneOptions) {
  const submitted: { bulkhead: string; plugins: string[] }[] = []
  const hookpoint = createHookpoint(kind)
  const bulkheads = new Map<string, Bulkhead>()
  const active = plugins.map(({ name, bulkhead: place = 'shared', onFailure }) => {
    const bulkhead = bulkheads.get(place) ?? createBulkhead(place)
    bulkheads.set(place, bulkhead)
    return createPlugin(name, bulkhead, onFailure)
  })

  function createBulkhead(name: string): Bulkhead {
    let waiting = 0
    const bulkhead = {
      name,
      plugins: [] as ActivePlugin[],
      partition: null,
      recorder: { dropped: 0, undelivered: 0 },
      inFlight: 0,
      get queueDepth() {
        return waiting
      },
      pick: () => (hasRoom ? lane : null),
      enqueue(call: Call) {
        if (waiting >= maxQueue) return false
        waiting += 1
        call.waitsIn = bulkhead as never
        return true
      },
      dequeue(call: Call) {
        waiting -= 1
        call.waitsIn = null
      },
      requeue() {},
      feed() {},
      hasOther: () => false,
    }
    const lane = createLane(bulkhead as unknown as Bulkhead, (taken) => {
      const names = bulkhead.plugins.filter(({ index }) => (taken.mask & (1 << index)) !== 0).map((each) => each.name)
      submitted.push({ bulkhead: name, plugins: names })
    })
    return bulkhead as unknown as Bulkhead
  }

  const route = compileRoute(hookpoint, active, { calls: new InFlightCount() })
  if (route === null) throw new Error('a scene needs plugins')
  return {
    hookpoint,
    plugins: active,
    submitted,
    /** A call of the hookpoint, and what it comes to. */
    call() {
      const call = new Call(hookpoint, route)
      const settled = new Promise<unknown>((resolve) => {
        call.resolve = resolve
        call.reject = resolve
      })
      route.snapshot.calls.enter()
      return { call, settled }
    },
  }
}

function createHookpoint(kind: HookpointState['kind']): HookpointState {
  return {
    ...{ index: 0, name: 'onTest', kind, replyAreas: 0, isCheckedBetween: false, expectedBytes: 8, route: null },
    definition: { endsOn: null, order: 'sequential' },
    encoder: { encode: () => 8 },
    reader: { decode: () => 'the event' },
    recorder: {
      ...{ calls: 0, aborted: 0, unanswered: 0 },
      verdicts: new Float64Array(4),
      cutShort: new Float64Array(3),
      recordWaiting() {},
    },
  } as unknown as HookpointState
}

function createPlugin(name: string, bulkhead: Bulkhead, onFailure: FailurePolicy | undefined): ActivePlugin {
  const breaker = new CircuitBreaker({ windowMs: 1_000, minFailures: 1, ratio: 0.01, cooldownMs: 1e9 })
  const plugin = {
    ...{ name, timeoutMs: TIMEOUT_MS, breaker, bulkhead, index: bulkhead.plugins.length },
    ...{ match: null, sample: 1, isShadow: false, hooks: new Set(['onTest']) },
    registration: { name, policies: resolvePolicies(onFailure), breaker },
    recorders: [
      { calls: 0, late: 0, verdicts: new Float64Array(4), failures: new Float64Array(6), recordRunning() {} },
    ],
  } as unknown as ActivePlugin
  ;(bulkhead.plugins as ActivePlugin[]).push(plugin)
  return plugin
}

/** A lane whose worker claims at once, and has entered the first plugin at `enteredMs`. */
export interface LaneStandIn extends Lane {
  enteredMs: number
  doneMask: number
  isClaimed: boolean
}

function createLane(bulkhead: Bulkhead, onTaken: (call: Call) => void): LaneStandIn {
  let held: Call | null = null
  const take = (call: Call) => {
    held = call
    call.lane = lane as unknown as Lane
    call.slot = 0
    call.mask = call.left
    call.held = null
    onTaken(call)
    return true
  }
  const lane = {
    ...{ bulkhead, state: 'serving', isLate: false, enteredMs: 0, doneMask: 0, isClaimed: true },
    submitEvent: take,
    submitBytes: take,
    heldBytes: () => ({ u8: new Uint8Array(8), at: 0 }),
    callIn: () => held,
    occupantOf: (slot: number) => (slot === 0 ? held : null),
    *calls() {
      if (held !== null) yield held
    },
    begin() {},
    recall() {
      if (lane.isClaimed) return false
      held = null
      return true
    },
    detach() {
      held = null
    },
    ring: {
      slotDouble: () => lane.enteredMs,
      doneMask: () => lane.doneMask,
      stopAfter: () => true,
      stop: () => lane.doneMask,
      cancel() {},
      runningSlot: () => 0,
    },
  }
  return lane as unknown as LaneStandIn
}
