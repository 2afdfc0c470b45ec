/**
 * Recorders: the plain numbers and preallocated arrays that the call path increments, and the rows through which a scrape
 * reads them. metrics.ts makes them; the dispatcher and the lanes hold them. Host's thread only.
 */
import type { HookpointKind } from '../../contracts/contract.js'
import { CUT_SHORT_BY, FAILURE_KINDS, type VerdictKind } from '../../contracts/verdict.js'
import { createHistogramCells, type FamilyKey, type Labels, type Row, recordDuration } from './metric-families.js'

/** The index of a verdict in `verdicts`. */
export const VERDICT_INDEX = { continue: 0, reject: 1, replace: 2, respond: 3 } as const satisfies Record<
  VerdictKind,
  number
>

/** The index of a failure in `failures`. */
export const FAILURE_INDEX = indexOf(FAILURE_KINDS)

/** The index in `cutShort` of what cut a plugin's turn short. */
export const CUT_SHORT_INDEX = indexOf(CUT_SHORT_BY)

/** Why a lane was replaced. */
export const RESTART_REASONS = ['hang', 'crash', 'exit', 'memory', 'violation', 'stall', 'reload'] as const
export type RestartReason = (typeof RESTART_REASONS)[number]

/**
 * Protocol violations: what a lane wrote that no honest lane writes. `doorbell`: it rang again and again and completed
 * nothing. `frame`: its child process wrote it.
 */
export const VIOLATION_KINDS = [
  'sequence',
  'slot',
  'state',
  'bounds',
  'code',
  'utf8',
  'reply',
  'doorbell',
  'frame',
] as const
export type ViolationKind = (typeof VIOLATION_KINDS)[number]

export type ShadowOutcome = VerdictKind | 'failure'

/** Read at scrape. */
export interface BulkheadGauges {
  queueDepth(): number
  inFlight(): number
  /** Share of slots in use for each lane; the lane's number is its label. */
  lanes(): Iterable<{ lane: number; occupancy: number }>
}

/** Rows that are removed together. */
export interface RowScope {
  add(family: FamilyKey, row: Row): void
  drop(): void
}

const SHADOW_OUTCOMES = [
  'continue',
  'reject',
  'replace',
  'respond',
  'failure',
] as const satisfies readonly ShadowOutcome[]
const SHADOW_INDEX = indexOf(SHADOW_OUTCOMES)
const RESTART_INDEX = indexOf(RESTART_REASONS)
const VIOLATION_INDEX = indexOf(VIOLATION_KINDS)
const VERDICT_COUNT = Object.keys(VERDICT_INDEX).length

/** An observation that was delivered counts as `continue`. */
const VERDICTS_OF: Readonly<Record<HookpointKind, readonly VerdictKind[]>> = {
  gate: ['continue', 'reject'],
  observe: ['continue'],
  transform: ['continue', 'reject', 'replace'],
  respond: ['continue', 'reject', 'respond'],
}

/** What the calls of one hookpoint come to. */
export class HookpointRecorder {
  calls = 0
  /** By VERDICT_INDEX. */
  readonly verdicts = new Float64Array(VERDICT_COUNT)
  aborted = 0
  unanswered = 0
  /** Turns of plugins that ended before the plugin had its own time, by CUT_SHORT_INDEX. */
  readonly cutShort = new Float64Array(CUT_SHORT_BY.length)
  readonly #waiting = createHistogramCells()

  constructor(scope: RowScope, labels: Labels, kind: HookpointKind) {
    addField(scope, 'calls', labels, this, 'calls')
    scope.add('waiting', { labels, cells: this.#waiting })
    // Observations have no verdict that could differ.
    if (kind === 'observe') return
    for (const verdict of VERDICTS_OF[kind]) {
      addCell(scope, 'verdicts', { ...labels, verdict }, this.verdicts, VERDICT_INDEX[verdict])
    }
    addField(scope, 'aborted', labels, this, 'aborted')
    for (const by of CUT_SHORT_BY) addCell(scope, 'cutShort', { ...labels, by }, this.cutShort, CUT_SHORT_INDEX[by])
    if (kind === 'respond') addField(scope, 'unanswered', labels, this, 'unanswered')
  }

  recordWaiting(us: number): void {
    recordDuration(this.#waiting, us)
  }
}

/** What one plugin does at one hookpoint. */
export class PluginRecorder {
  calls = 0
  /** By VERDICT_INDEX. */
  readonly verdicts = new Float64Array(VERDICT_COUNT)
  /** By FAILURE_INDEX. */
  readonly failures = new Float64Array(FAILURE_KINDS.length)
  /** Completions after the deadline. */
  late = 0
  readonly #running = createHistogramCells()
  /** What a shadow said (rows of VERDICT_COUNT cells), by what was enforced. */
  readonly #shadow = new Float64Array(SHADOW_OUTCOMES.length * VERDICT_COUNT)

  constructor(scope: RowScope, labels: Labels, kind: HookpointKind) {
    addField(scope, 'pluginCalls', labels, this, 'calls')
    for (const verdict of VERDICTS_OF[kind]) {
      addCell(scope, 'pluginVerdicts', { ...labels, verdict }, this.verdicts, VERDICT_INDEX[verdict])
    }
    for (const failure of FAILURE_KINDS) {
      addCell(scope, 'pluginFailures', { ...labels, failure }, this.failures, FAILURE_INDEX[failure])
    }
    addField(scope, 'pluginLate', labels, this, 'late')
    scope.add('running', { labels, cells: this.#running })
    scope.add('shadow', shadowRows(labels, this.#shadow, kind))
  }

  /** Counts a shadow's verdict, or its failure, against what was enforced. */
  recordShadow(outcome: ShadowOutcome, enforced: VerdictKind): void {
    this.#shadow[SHADOW_INDEX[outcome] * VERDICT_COUNT + VERDICT_INDEX[enforced]]! += 1
  }

  recordRunning(us: number): void {
    recordDuration(this.#running, us)
  }
}

export class BulkheadRecorder {
  dropped = 0
  undelivered = 0
  droppedLogLines = 0
  /** Read at scrape. A bulkhead of the same name that follows puts its own here. */
  gauges: BulkheadGauges
  readonly #restarts = new Float64Array(RESTART_REASONS.length)
  readonly #violations = new Float64Array(VIOLATION_KINDS.length)

  constructor(scope: RowScope, labels: Labels, gauges: BulkheadGauges) {
    this.gauges = gauges
    scope.add('queueDepth', { labels, read: () => this.gauges.queueDepth() })
    scope.add('inFlight', { labels, read: () => this.gauges.inFlight() })
    scope.add('ringOccupancy', { samples: () => this.#occupancies(labels) })
    addField(scope, 'dropped', labels, this, 'dropped')
    addField(scope, 'undelivered', labels, this, 'undelivered')
    addField(scope, 'droppedLogLines', labels, this, 'droppedLogLines')
    for (const reason of RESTART_REASONS)
      addCell(scope, 'laneRestarts', { ...labels, reason }, this.#restarts, RESTART_INDEX[reason])
    for (const kind of VIOLATION_KINDS)
      addCell(scope, 'violations', { ...labels, kind }, this.#violations, VIOLATION_INDEX[kind])
  }

  recordRestart(reason: RestartReason): void {
    this.#restarts[RESTART_INDEX[reason]]! += 1
  }

  recordViolation(kind: ViolationKind): void {
    this.#violations[VIOLATION_INDEX[kind]]! += 1
  }

  *#occupancies(labels: Labels): Iterable<{ labels: Labels; value: number }> {
    for (const { lane, occupancy } of this.gauges.lanes()) {
      yield { labels: { ...labels, lane: String(lane) }, value: occupancy }
    }
  }
}

/** No row before the first comparison: most plugins are not shadows. */
function shadowRows(labels: Labels, cells: Float64Array, kind: HookpointKind): Row {
  const rows = [...VERDICTS_OF[kind], 'failure' as const].flatMap((verdict) =>
    VERDICTS_OF[kind].map((enforced) => ({
      labels: { ...labels, verdict, enforced },
      at: SHADOW_INDEX[verdict] * VERDICT_COUNT + VERDICT_INDEX[enforced],
    })),
  )
  return {
    samples: () =>
      cells.some((count) => count > 0) ? rows.map((row) => ({ labels: row.labels, value: cells[row.at]! })) : [],
    zero: () => cells.fill(0),
  }
}

function addField<Name extends string>(
  scope: RowScope,
  family: FamilyKey,
  labels: Labels,
  recorder: Record<Name, number>,
  name: Name,
): void {
  scope.add(family, {
    labels,
    read: () => recorder[name],
    zero: () => {
      recorder[name] = 0
    },
  })
}

function addCell(scope: RowScope, family: FamilyKey, labels: Labels, cells: Float64Array, index: number): void {
  scope.add(family, {
    labels,
    read: () => cells[index]!,
    zero: () => {
      cells[index] = 0
    },
  })
}

function indexOf<Name extends string>(names: readonly Name[]): Readonly<Record<Name, number>> {
  return Object.fromEntries(names.map((name, index) => [name, index])) as Record<Name, number>
}
