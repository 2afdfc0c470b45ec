/** The JSON document of `--json`. Pure; called by main.ts and the tests. */
import { rounded } from '../../bench/report.js'
import { findShortfalls, type Run, tellClosing } from './closing.js'
import { bystanderRatio, outcomeOf, type RpcFigures } from './rows.js'

export function documentOf(run: Run, { quick }: { quick: boolean }) {
  const { rows } = run
  return {
    demo: 'rpc',
    node: process.version,
    machine: run.machine,
    quick,
    ending: run.isInterrupted ? 'interrupted' : run.broken === undefined ? 'told' : 'broken',
    ...(run.broken !== undefined && { why: run.broken }),
    slices: run.slices,
    elapsedMs: rounded(run.elapsedMs),
    rows: rows.map((row) => ({
      mode: row.mode,
      hook: row.hook,
      ...(row.died !== undefined && { died: true, why: row.died }),
      hooked: figuresOf(row.hooked),
      bystander: { ...figuresOf(row.bystander), p99TimesNone: rounded(bystanderRatio(rows, row)) },
      loopDelayP99Ms: rounded(row.loopDelayP99Ms),
      ...(row.lanesReplaced !== undefined && { lanesReplaced: row.lanesReplaced }),
      outcome: outcomeOf(rows, row).text,
    })),
    stranger: run.stranger,
    unavailable: Object.fromEntries(run.unavailable),
    closing: tellClosing(run),
    didNotHold: findShortfalls(run),
  }
}

function figuresOf(figures: RpcFigures) {
  return {
    ...figures,
    p50Us: rounded(figures.p50Us),
    p99Us: rounded(figures.p99Us),
    p99RangeUs: figures.p99RangeUs.map(rounded),
  }
}
