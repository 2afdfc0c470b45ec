/** What an engine of `hookring serve` cannot do now: plugins in quarantine, lanes that are not there. Main thread. */
import type { ServedEngine } from './server.js'

interface Gauge {
  get(): Promise<{ values: readonly { readonly labels: Readonly<Record<string, unknown>> }[] }>
}

/** @param metricsPrefix the engine's option. */
export async function engineProblems(engine: ServedEngine, metricsPrefix: unknown = 'hookring_'): Promise<string[]> {
  const { plugins } = engine
  const shut = plugins.filter(({ state }) => state !== 'active').map(({ name, state }) => `plugin ${name} is ${state}`)
  const bulkheads = new Set(plugins.map(({ bulkhead }) => bulkhead))
  const lanes = engine.registry.getSingleMetric(`${metricsPrefix}ring_occupancy_ratio`) as Gauge | undefined
  // A lane that serves has a row there.
  const rows = (await lanes?.get())?.values ?? null
  const serving = new Set(rows?.map(({ labels }) => labels.bulkhead))
  const missing = rows === null ? [] : [...bulkheads].filter((name) => !serving.has(name))
  return [...shut, ...missing.map((name) => `bulkhead ${name} has no lane`)]
}
