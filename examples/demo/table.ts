/**
 * The table of the demo and the line of a single slice, as text of a given width. Pure; for screen.ts and the tests.
 *
 *            hooked RPC          bystander    loop
 *   mode       p50   p99 failed    p50   p99    p99  what became of it (all in ms)
 */
import { HOOKS, type HookName } from '../../bench/rpc/misbehave.js'
import type { ModeName } from '../../bench/rpc/modes.js'
import { HOOK_WORDS } from './plan.js'
import { findRow, type Outcome, outcomeOf, type Row } from './rows.js'
import { cellMs } from './words.js'

export type Style = 'head' | 'good' | 'bad' | 'strong' | 'faint'
export type Paint = (style: Style, text: string) => string

export interface TableShape {
  readonly modes: readonly ModeName[]
  /** Characters of a line, at most. */
  readonly width: number
  readonly paint: Paint
}

/** Room for every column and the shortest way to say each outcome. */
export const LEAST_TABLE_WIDTH = 79
const FIGURES_WIDTH = 50
const HEAD = [
  '          hooked RPC          bystander    loop',
  'mode        p50   p99 failed    p50   p99    p99  what became of it (all in ms)',
] as const

/** Lines of the table: they do not change while it fills. */
export function tableHeight(modes: readonly ModeName[]): number {
  return HEAD.length + HOOKS.length * (1 + modes.length)
}

/** Rows without figures so far are drawn empty. */
export function tableLines(rows: readonly Row[], { modes, width, paint }: TableShape): string[] {
  return [
    ...HEAD.map((line) => paint('head', line.slice(0, width))),
    ...HOOKS.flatMap((hook) => [
      headingOf(hook, width, paint),
      ...modes.map((mode) => rowLine(rows, mode, hook, width, paint)),
    ]),
  ]
}

/** One slice on a line of its own, for output that cannot be drawn over. `rows` has mode none to compare with. */
export function sliceLine(rows: readonly Row[], row: Row): string {
  const { hooked, bystander } = row
  const { text, detail } = outcomeOf(rows, row)
  return [
    `${row.hook.padEnd(6)}  ${row.mode.padEnd(8)}`,
    `hooked p50 ${cellMs(hooked.p50Us)} p99 ${cellMs(hooked.p99Us)} ms, ${hooked.failed} failed`,
    `bystander p50 ${cellMs(bystander.p50Us)} p99 ${cellMs(bystander.p99Us)} ms`,
    `loop p99 ${cellMs(row.loopDelayP99Ms * 1000)} ms`,
    detail === '' ? text : `${text}; ${detail}`,
  ].join('  ')
}

function headingOf(hook: HookName, width: number, paint: Paint): string {
  const words = `  ${HOOK_WORDS[hook]}`.slice(0, width - hook.length)
  return paint('strong', hook) + paint('faint', words)
}

function rowLine(rows: readonly Row[], mode: ModeName, hook: HookName, width: number, paint: Paint): string {
  const row = findRow(rows, mode, hook)
  if (row === undefined) return paint('faint', `${mode.padEnd(8)}  ${'.'.padStart(5)}`)
  const { hooked, bystander } = row
  const figures = [
    `${mode.padEnd(8)}  `,
    `${cell(hooked.p50Us)} ${cell(hooked.p99Us)} ${String(hooked.failed).padStart(6)}  `,
    `${cell(bystander.p50Us)} ${cell(bystander.p99Us)}  `,
    `${cell(row.loopDelayP99Ms * 1000)}  `,
  ].join('')
  const outcome = outcomeOf(rows, row)
  return figures + paint(styleOf(outcome), wordsOf(outcome, width - FIGURES_WIDTH))
}

function cell(us: number): string {
  return cellMs(us).padStart(5)
}

function wordsOf({ text, detail }: Outcome, width: number): string {
  const both = detail === '' ? text : `${text}; ${detail}`
  return (both.length <= width ? both : text).slice(0, width)
}

function styleOf({ tone }: Outcome): Style {
  return tone === 'neutral' ? 'faint' : tone
}
