/**
 * Routes: which plugins a hookpoint's calls pass, in which hops. Compiled when the registry changes; a call keeps the route
 * that it began with. Host's thread only.
 */

import type { InFlightCount } from '../primitives/in-flight-count.js'
import type { Bulkhead } from './bulkhead.js'
import type { HookpointState } from './hookpoint-state.js'
import type { ActivePlugin } from './plugin.js'

/** The plugins of a chain that sit next to each other in one bulkhead: one hop, one trip through the ring. */
export interface Step {
  readonly bulkhead: Bulkhead
  /** In the order in which they run. */
  readonly plugins: readonly ActivePlugin[]
  /** Their bits. */
  readonly mask: number
  /** The shortest of their timeouts: no plugin of the step can be late before that. */
  readonly shortestMs: number
  /** The first one's timeout. */
  readonly firstMs: number
  /** Whether any of them is not plainly admitted at present (quarantine). */
  isGuarded: boolean
}

/** One state of the registry; calls that began under it are counted, so that what it used can be let go. */
export interface Snapshot {
  readonly calls: InFlightCount
}

export interface Route {
  readonly snapshot: Snapshot
  readonly steps: readonly Step[]
  /** Whether match or sample decide per call. */
  readonly isSelective: boolean
  /** Whether a bulkhead chooses its lane by a field of the event. */
  readonly isPartitioned: boolean
  /** One route per hop, where hops do not wait for each other: observations, parallel gates. Else null. */
  readonly branches: readonly Route[] | null
  /** One route for each shadow plugin. */
  readonly shadows: readonly Route[]
  /** Neither branches nor shadows: one call walks it. */
  readonly isPlain: boolean
}

/** @param plugins of the snapshot, in the order of the chain. */
export function compileRoute(
  hookpoint: HookpointState,
  plugins: readonly ActivePlugin[],
  snapshot: Snapshot,
): Route | null {
  const subscribers = plugins.filter((plugin) => plugin.hooks.has(hookpoint.name))
  if (subscribers.length === 0) return null
  const steps = stepsOf(
    subscribers.filter((plugin) => !plugin.isShadow),
    hookpoint.isCheckedBetween,
  )
  // Whether a shadow is asked at all is decided before there is a call for it.
  const shadows = subscribers
    .filter((plugin) => plugin.isShadow)
    .map((plugin) => ({ ...routeOf([stepOf([plugin])], snapshot), isSelective: false }))
  const isBranching = steps.length > 1 && (hookpoint.kind === 'observe' || hookpoint.definition.order === 'parallel')
  const route = routeOf(steps, snapshot)
  const branches = isBranching ? steps.map((step) => routeOf([step], snapshot)) : null
  return { ...route, shadows, branches, isPlain: branches === null && shadows.length === 0 }
}

/** Every step of a route, its branches and its shadows. */
export function* stepsIn(route: Route): Iterable<Step> {
  yield* route.steps
  for (const shadow of route.shadows) yield* shadow.steps
}

function routeOf(steps: readonly Step[], snapshot: Snapshot): Route {
  return {
    snapshot,
    steps,
    isSelective: steps.some((step) => step.plugins.some((plugin) => plugin.match !== null || plugin.sample < 1)),
    isPartitioned: steps.some((step) => step.bulkhead.partition !== null),
    branches: null,
    shadows: [],
    isPlain: true,
  }
}

function stepsOf(plugins: readonly ActivePlugin[], isEachAlone: boolean): Step[] {
  const groups: ActivePlugin[][] = []
  for (const plugin of plugins) {
    const last = groups[groups.length - 1]
    if (last?.[0]?.bulkhead === plugin.bulkhead && !isEachAlone) last.push(plugin)
    else groups.push([plugin])
  }
  return groups.map(stepOf)
}

function stepOf(plugins: ActivePlugin[]): Step {
  const [first] = plugins as [ActivePlugin]
  return {
    bulkhead: first.bulkhead,
    plugins,
    mask: plugins.reduce((mask, plugin) => mask | (1 << plugin.index), 0),
    firstMs: first.timeoutMs,
    shortestMs: Math.min(...plugins.map((plugin) => plugin.timeoutMs)),
    isGuarded: plugins.some((plugin) => plugin.breaker.state !== 'closed'),
  }
}
