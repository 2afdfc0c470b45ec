/**
 * Metric families: the names, help texts and labels of every metric, and the objects that stand for them in a prom-client
 * registry. A family holds no values. Its rows know where to read theirs, so it costs nothing until a scrape. Used by
 * metrics.ts and recorders.ts, on the host's thread.
 */
import { HookringError } from '../../contracts/errors.js'

type FamilyType = 'counter' | 'gauge' | 'histogram'

interface FamilyDefinition {
  readonly name: string
  readonly type: FamilyType
  readonly help: string
  /** Labels besides `engine` and `contract`. */
  readonly labels: readonly string[]
  /** How the processes of a cluster are aggregated. Default: 'sum'. */
  readonly aggregator?: 'max'
}

/** By the name that metrics.ts uses. Names are prefixed when they are registered. */
export const FAMILIES = {
  calls: {
    name: 'calls_total',
    type: 'counter',
    labels: ['hookpoint'],
    help: 'Calls of a hookpoint that has plugins.',
  },
  verdicts: {
    name: 'verdicts_total',
    type: 'counter',
    labels: ['hookpoint', 'verdict'],
    help: 'Verdicts of calls, after failure policies.',
  },
  aborted: {
    name: 'calls_aborted_total',
    type: 'counter',
    labels: ['hookpoint'],
    help: "Calls that the caller's signal ended.",
  },
  cutShort: {
    name: 'calls_cut_short_total',
    type: 'counter',
    labels: ['hookpoint', 'by'],
    help: "Turns of plugins that ended before the plugin had had its own time, by who took that time (caller: the call's timeoutMs; waiting: queues and neighbours; neighbour: another plugin took their lane down).",
  },
  unanswered: {
    name: 'calls_unanswered_total',
    type: 'counter',
    labels: ['hookpoint'],
    help: 'Respond calls that no plugin answered.',
  },
  waiting: {
    name: 'call_waiting_seconds',
    type: 'histogram',
    labels: ['hookpoint'],
    help: 'Time that a call spent waiting (queue, ring, wake-up) rather than running in plugins.',
  },
  pluginCalls: {
    name: 'plugin_calls_total',
    type: 'counter',
    labels: ['hookpoint', 'plugin'],
    help: 'Calls that a plugin was asked or told about, shadow plugins included.',
  },
  pluginVerdicts: {
    name: 'plugin_verdicts_total',
    type: 'counter',
    labels: ['hookpoint', 'plugin', 'verdict'],
    help: 'Verdicts that a plugin gave.',
  },
  pluginFailures: {
    name: 'plugin_failures_total',
    type: 'counter',
    labels: ['hookpoint', 'plugin', 'failure'],
    help: 'Calls for which a plugin gave no verdict, by cause.',
  },
  pluginLate: {
    name: 'plugin_late_completions_total',
    type: 'counter',
    labels: ['hookpoint', 'plugin'],
    help: 'Verdicts that came after their deadline and were not applied.',
  },
  running: {
    name: 'plugin_running_seconds',
    type: 'histogram',
    labels: ['hookpoint', 'plugin'],
    help: "Time from entering a plugin's hook to its verdict, as the lane measured it.",
  },
  shadow: {
    name: 'shadow_verdicts_total',
    type: 'counter',
    labels: ['hookpoint', 'plugin', 'verdict', 'enforced'],
    help: 'Verdicts (or failures) of a shadow plugin by what was enforced. Where the two labels differ, they diverge.',
  },
  quarantined: {
    name: 'quarantined',
    type: 'gauge',
    labels: ['plugin'],
    aggregator: 'max',
    help: 'Quarantine of a plugin: 0 none, 1 probing, 2 quarantined, 3 held by the operator.',
  },
  queueDepth: {
    name: 'queue_depth',
    type: 'gauge',
    labels: ['bulkhead'],
    help: 'Calls and observations that wait for room in a lane.',
  },
  inFlight: {
    name: 'in_flight',
    type: 'gauge',
    labels: ['bulkhead'],
    help: 'Calls and observations that lanes hold.',
  },
  ringOccupancy: {
    name: 'ring_occupancy_ratio',
    type: 'gauge',
    labels: ['bulkhead', 'lane'],
    aggregator: 'max',
    help: "Share of a lane's slots that are in use, 0 to 1.",
  },
  dropped: {
    name: 'observations_dropped_total',
    type: 'counter',
    labels: ['bulkhead'],
    help: 'Observations that were dropped because the queue was full.',
  },
  undelivered: {
    name: 'observations_undelivered_total',
    type: 'counter',
    labels: ['bulkhead'],
    help: 'Accepted observations that no plugin finished: their lane died, or the engine closed.',
  },
  laneRestarts: {
    name: 'lane_restarts_total',
    type: 'counter',
    labels: ['bulkhead', 'reason'],
    help: 'Lanes that were replaced, by cause.',
  },
  violations: {
    name: 'protocol_violations_total',
    type: 'counter',
    labels: ['bulkhead', 'kind'],
    help: "Violations of the ring's protocol by lanes, by kind.",
  },
  droppedLogLines: {
    name: 'log_lines_dropped_total',
    type: 'counter',
    labels: ['bulkhead'],
    help: "Log lines of plugins that were over a lane's allowance.",
  },
  zombies: {
    name: 'zombies',
    type: 'gauge',
    labels: [],
    help: 'Threads that were told to terminate and have not exited.',
  },
} as const satisfies Record<string, FamilyDefinition>

export type FamilyKey = keyof typeof FAMILIES

export type Labels = Readonly<Record<string, string>>

/** One row of a counter or gauge: where its value is read. `zero` is for the registry's reset; gauges have none. */
interface ValueRow {
  readonly labels: Labels
  read(): number
  zero?(): void
}

/** One histogram with the buckets of BUCKET_BOUNDS_US. */
interface HistogramRow {
  readonly labels: Labels
  /** The count for each bucket, one for durations above the last bound, then the sum in microseconds. */
  readonly cells: Float64Array
}

/** Rows that come and go, as the lanes of a bulkhead do. */
interface ChangingRows {
  samples(): Iterable<{ labels: Labels; value: number }>
  zero?(): void
}

export type Row = ValueRow | HistogramRow | ChangingRows

const FIRST_BOUND_LOG2 = 1
const LAST_BOUND_LOG2 = 22

/** Upper bounds in microseconds, powers of two: from the time of an empty hook to 4.2 s, longer than anybody waits. */
export const BUCKET_BOUNDS_US: readonly number[] = Array.from(
  { length: LAST_BOUND_LOG2 - FIRST_BOUND_LOG2 + 1 },
  (_, index) => 2 ** (FIRST_BOUND_LOG2 + index),
)
const OVERFLOW_CELL = BUCKET_BOUNDS_US.length
const SUM_CELL = OVERFLOW_CELL + 1
const LAST_BOUND_US = 2 ** LAST_BOUND_LOG2
const DAY_US = 24 * 3600 * 1e6
const BOUND_LABELS = BUCKET_BOUNDS_US.map((boundUs) => String(boundUs / 1e6))

export function createHistogramCells(): Float64Array {
  return new Float64Array(SUM_CELL + 1)
}

/**
 * Counts a duration. It may come from a lane, which may write anything: a negative value or NaN counts as 0, and what is
 * longer than a day as a day.
 */
export function recordDuration(cells: Float64Array, us: number): void {
  if (us > 0 && us <= LAST_BOUND_US) {
    // The exponent of the next power of two. The first bucket also takes smaller durations.
    const bucket = 32 - Math.clz32(Math.ceil(us) - 1) - FIRST_BOUND_LOG2
    cells[bucket > 0 ? bucket : 0]!++
    cells[SUM_CELL]! += us
  } else {
    recordExtreme(cells, us)
  }
}

function recordExtreme(cells: Float64Array, us: number): void {
  cells[us > 0 ? OVERFLOW_CELL : 0]!++
  if (us > 0) cells[SUM_CELL]! += Math.min(us, DAY_US)
}

/** What hookring needs of a registry. prom-client's has it, and so has its successor's. */
export interface MetricsRegistry {
  registerMetric(metric: never): void
  getSingleMetric(name: string): unknown
  removeSingleMetric(name: string): void
  metrics(): Promise<string>
  readonly contentType: string
}

/** A registered symbol: engines of two copies of hookring can share a registry. */
const FAMILY_BRAND = Symbol.for('hookring.metric-family@1')

interface Sample {
  metricName?: string
  labels: Labels
  value: number
}

/** What registries expect of a metric, and hookring's rows. */
interface MetricFamily {
  readonly [FAMILY_BRAND]: true
  /** Not constant: a registry that writes OpenMetrics removes `_total` and adds it to each sample. */
  name: string
  readonly help: string
  readonly type: FamilyType
  readonly aggregator: string
  readonly labelNames: readonly string[]
  readonly rows: Set<Row>
  get(): Promise<{ name: string; help: string; type: FamilyType; aggregator: string; values: Sample[] }>
  reset(): void
}

export type MetricFamilies = Readonly<Record<FamilyKey, MetricFamily>>

/**
 * The families of a registry, which are made and registered if they are not there yet.
 *
 * @throws HookringError OPTIONS_INVALID when another metric has one of the names. Nothing is registered then.
 */
export function openFamilies(registry: MetricsRegistry, prefix: string): MetricFamilies {
  const families = {} as Record<FamilyKey, MetricFamily>
  const missing: MetricFamily[] = []
  for (const key of Object.keys(FAMILIES) as FamilyKey[]) {
    const name = prefix + FAMILIES[key].name
    const existing = registry.getSingleMetric(name)
    if (existing === undefined || existing === null) {
      families[key] = createFamily(name, FAMILIES[key])
      missing.push(families[key])
    } else if (isFamily(existing)) {
      families[key] = existing
    } else {
      throw new HookringError('OPTIONS_INVALID', `registry already has a metric ${name}; set metricsPrefix`, {
        path: ['registry'],
      })
    }
  }
  for (const family of missing) registry.registerMetric(family as never)
  return families
}

/** Takes the families out of the registry when no engine uses them. */
export function closeFamilies(registry: MetricsRegistry, prefix: string, families: MetricFamilies): void {
  for (const key of Object.keys(FAMILIES) as FamilyKey[]) {
    const name = prefix + FAMILIES[key].name
    if (registry.getSingleMetric(name) === families[key]) registry.removeSingleMetric(name)
  }
}

function isFamily(metric: unknown): metric is MetricFamily {
  return typeof metric === 'object' && metric !== null && FAMILY_BRAND in metric
}

function createFamily(name: string, definition: FamilyDefinition): MetricFamily {
  const rows = new Set<Row>()
  const { help, type, labels, aggregator = 'sum' } = definition
  return {
    [FAMILY_BRAND]: true,
    name,
    help,
    type,
    aggregator,
    labelNames: ['engine', 'contract', ...labels],
    rows,
    async get() {
      const values: Sample[] = []
      for (const row of rows) {
        if ('cells' in row) pushHistogram(values, this.name, row)
        else if ('samples' in row) values.push(...row.samples())
        else values.push({ labels: row.labels, value: row.read() })
      }
      return { name: this.name, help, type, aggregator, values }
    },
    reset() {
      for (const row of rows) {
        if ('cells' in row) row.cells.fill(0)
        else if ('zero' in row) row.zero?.()
      }
    },
  }
}

function pushHistogram(values: Sample[], name: string, row: HistogramRow): void {
  const { labels, cells } = row
  let count = 0
  for (let index = 0; index < OVERFLOW_CELL; index++) {
    count += cells[index]!
    values.push({ metricName: `${name}_bucket`, labels: { ...labels, le: BOUND_LABELS[index]! }, value: count })
  }
  count += cells[OVERFLOW_CELL]!
  values.push({ metricName: `${name}_bucket`, labels: { ...labels, le: '+Inf' }, value: count })
  values.push({ metricName: `${name}_sum`, labels, value: cells[SUM_CELL]! / 1e6 })
  values.push({ metricName: `${name}_count`, labels, value: count })
}
