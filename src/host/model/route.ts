/**
 * Routes: the plugins that a hookpoint's calls pass, and in which hops. They are compiled when the registry changes; a call
 * keeps the route that it began with. Host's thread only.
 */
import type { InFlightCount } from '../primitives/in-flight-count.js'
import type { Bulkhead } from './bulkhead.js'
import type { HookpointState } from './hookpoint-state.js'
import type { ActivePlugin } from './plugin.js'

/** Neighbours in a chain that share a bulkhead: one hop, one trip through the ring. */
export interface Step {
  readonly bulkhead: Bulkhead
  /** In the order in which they run. */
  readonly plugins: readonly ActivePlugin[]
  /** Their bits. */
  readonly mask: number
  /** The shortest of their timeouts: before that, no plugin of the step can be late. */
  readonly shortestMs: number
  /** The first plugin's timeout. */
  readonly firstMs: number
  /** The breaker of at least one of them is not closed, so admission must be decided for each call. */
  isGuarded: boolean
}

/** One state of the registry. It counts the calls that began under it, so that its bulkheads can be stopped after the last. */
export interface Snapshot {
  readonly calls: InFlightCount
}

export interface Route {
  readonly snapshot: Snapshot
  readonly steps: readonly Step[]
  /** `match` or `sample` decide about each call which plugins are asked. */
  readonly isSelective: boolean
  /** At least one bulkhead chooses the lane by a field of the event. */
  readonly isPartitioned: boolean
  /** One route for each hop, where hops do not wait for each other (observations, parallel gates); otherwise null. */
  readonly branches: readonly Route[] | null
  /** One route for each shadow. */
  readonly shadows: readonly Route[]
  /** It has neither branches nor shadows, so one Call is enough. */
  readonly isPlain: boolean
}

/** @param plugins all plugins of the snapshot, in the order of the chain. @returns null: nobody subscribes */
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
  // Whether a shadow is asked is decided before there is a call for it (Hops.wants).
  const shadows = subscribers
    .filter((plugin) => plugin.isShadow)
    .map((plugin) => ({ ...routeOf([stepOf([plugin])], snapshot), isSelective: false }))
  const isBranching = steps.length > 1 && (hookpoint.kind === 'observe' || hookpoint.definition.order === 'parallel')
  const route = routeOf(steps, snapshot)
  const branches = isBranching ? steps.map((step) => routeOf([step], snapshot)) : null
  return { ...route, shadows, branches, isPlain: branches === null && shadows.length === 0 }
}

/** The steps of a route and of its shadows. */
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
