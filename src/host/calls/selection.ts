/**
 * Which plugins of a route a call asks (match, sample, startAt), and in which seats. Read from the event before it is
 * encoded. Host's thread only.
 */
import { type Call, ensureRare } from '../model/call.js'
import type { ActivePlugin } from '../model/plugin.js'

export class Selection {
  readonly #random: () => number

  /** @param random from 0, below 1 */
  constructor(random: () => number) {
    this.#random = random
  }

  /** Reads what the route needs to know about the event. */
  prepare(call: Call, event: unknown): void {
    if (call.route.isSelective || call.rare.startAt !== null) this.select(call, event)
    if (call.route.isPartitioned) partition(call, event)
  }

  /** Whether `sample` and `match` let the plugin be asked about the event. */
  wants(plugin: ActivePlugin, event: unknown): boolean {
    return (plugin.sample >= 1 || this.#random() < plugin.sample) && (plugin.match === null || plugin.match(event))
  }

  /** Decides for each step which of its plugins are asked. */
  select(call: Call, event: unknown): void {
    const { steps } = call.route
    const masks = new Int32Array(steps.length)
    const first = firstAsked(call)
    let isBefore = first !== null
    for (const [index, step] of steps.entries()) {
      let { mask } = step
      for (const plugin of step.plugins) {
        if (plugin === first) isBefore = false
        // `sample` was drawn for this event before: a plugin that is asked again is not drawn again.
        const isWanted = plugin === first ? plugin.match === null || plugin.match(event) : this.wants(plugin, event)
        if (isBefore || !isWanted) mask &= ~(1 << plugin.index)
      }
      masks[index] = mask
    }
    ensureRare(call).stepMasks = masks
  }
}

/** Hashes the fields by which bulkheads choose a call's seat. */
function partition(call: Call, event: unknown): void {
  ensureRare(call).stepHashes = Int32Array.from(call.route.steps, ({ bulkhead }) => bulkhead.partition?.(event) ?? 0)
}

/** The plugin of the chain with which the caller begins; null: the first. */
function firstAsked({ route, rare: { startAt } }: Call): ActivePlugin | null {
  if (startAt === null) return null
  for (const step of route.steps) for (const plugin of step.plugins) if (plugin.name === startAt) return plugin
  return null
}
