/**
 * What the demo makes of the story's slices: one row for each hook and mode, and what became of the server in it. Pure;
 * called by main.ts and the tests.
 */
import { FAILURE_KINDS } from 'hookring/contracts'
import { median } from '../../bench/instruments.js'
import { HOOKS, type HookName } from '../../bench/rpc/misbehave.js'
import type { ModeName } from '../../bench/rpc/modes.js'
import type { CallFigures } from '../../bench/rpc/rates.js'
import type { Slice } from '../../bench/rpc/story.js'

/** A slice as it is told; a server that counts the lanes it replaced may say so. */
export type ToldSlice = Slice & { readonly lanesReplaced?: number }

/** One RPC in one row: latencies are medians over slices, counts are sums. */
export interface RpcFigures {
  readonly p50Us: number
  readonly p99Us: number
  /** Lowest and highest p99 of a slice. */
  readonly p99RangeUs: readonly [number, number]
  readonly calls: number
  readonly failed: number
  /** Failed calls by kind: the hook's failure where the server names one, else the gRPC status. */
  readonly failures: Readonly<Record<string, number>>
  readonly marked: number
  readonly markedFailures: number
  /** Failed calls on which the hook was not asked to misbehave. */
  readonly unmarkedFailures: number
}

export interface Row {
  readonly mode: ModeName
  readonly hook: HookName
  readonly slices: number
  readonly hooked: RpcFigures
  readonly bystander: RpcFigures
  /** NaN: no server lived to tell. */
  readonly loopDelayP99Ms: number
  readonly died: string | undefined
  /** undefined: not counted. */
  readonly lanesReplaced: number | undefined
}

/** What became of the server: `text` in few words, `detail` for wide terminals. */
export interface Outcome {
  readonly tone: 'good' | 'bad' | 'neutral'
  readonly text: string
  readonly detail: string
}

/** Up to this many times the p99 without a hook, a bystander counts as undisturbed; the bench claims the same. */
export const UNDISTURBED_RATIO = 1.25
/** From here on it is no longer the machine's noise. */
export const DISTURBED_RATIO = 3

const POLICY_KINDS: ReadonlySet<string> = new Set(FAILURE_KINDS)

/** The rows that have figures, hook by hook, modes in the order given. */
export function rowsOf(slices: readonly ToldSlice[], modes: readonly ModeName[]): Row[] {
  return HOOKS.flatMap((hook) =>
    modes.flatMap((mode) => rowOf(slices.filter((slice) => slice.mode === mode && slice.hook === hook)) ?? []),
  )
}

/** The row of slices of one mode and hook; undefined when there are none. */
export function rowOf(slices: readonly ToldSlice[]): Row | undefined {
  const [first] = slices
  if (first === undefined) return undefined
  const counted = slices.flatMap((slice) => slice.lanesReplaced ?? [])
  return {
    mode: first.mode,
    hook: first.hook,
    slices: slices.length,
    hooked: sumUp(slices.map((slice) => slice.hooked)),
    bystander: sumUp(slices.map((slice) => slice.bystander)),
    loopDelayP99Ms: median(slices.flatMap((slice) => slice.loopDelayP99Ms ?? [])),
    died: slices.find((slice) => slice.died !== undefined)?.died,
    lanesReplaced: counted.length === 0 ? undefined : total(counted),
  }
}

export function findRow(rows: readonly Row[], mode: ModeName, hook: HookName): Row | undefined {
  return rows.find((row) => row.mode === mode && row.hook === hook)
}

/** The bystander's p99 as a multiple of what it is without a hook, the machine in the same state; NaN when unknown. */
export function bystanderRatio(rows: readonly Row[], row: Row): number {
  return row.bystander.p99Us / (findRow(rows, 'none', row.hook)?.bystander.p99Us ?? Number.NaN)
}

/**
 * The machine's own noise: the lowest and highest p99 of a bystander in any slice without a hook. Nothing differs between
 * these slices but the moment. NaN when there are none.
 */
export function noiseRangeUs(rows: readonly Row[]): readonly [number, number] {
  const own = rows.filter((row) => row.mode === 'none')
  return own.length === 0 ? [Number.NaN, Number.NaN] : rangeOf(own.flatMap((row) => row.bystander.p99RangeUs))
}

/** Calls that the failure policy refused, and for which failures. */
export function policyRefusals(row: Row): { count: number; kinds: string[] } {
  const refused = Object.entries(row.hooked.failures).filter(([kind]) => POLICY_KINDS.has(kind))
  return { count: total(refused.map(([, count]) => count)), kinds: refused.map(([kind]) => kind) }
}

/** Failed calls of a row that nobody asked to fail, bystanders included. */
export function innocentFailures(row: Row): number {
  return row.hooked.unmarkedFailures + row.bystander.unmarkedFailures
}

export function outcomeOf(rows: readonly Row[], row: Row): Outcome {
  const innocent = innocentFailures(row)
  if (row.died !== undefined) {
    return { tone: 'bad', text: `died: ${briefCause(row.died)}`, detail: `${innocent} unmarked calls failed with it` }
  }
  const detail = markedDetail(row)
  if (innocent > 0) return { tone: 'bad', text: `${innocent} unmarked calls failed`, detail }
  if (row.mode === 'none') return { tone: 'neutral', text: 'the measure for the others', detail: '' }
  const ratio = bystanderRatio(rows, row)
  if (Number.isNaN(ratio)) return { tone: 'neutral', text: 'served', detail }
  if (ratio <= UNDISTURBED_RATIO) return { tone: 'good', text: 'bystanders undisturbed', detail }
  const times = `${ratio >= 9.95 ? ratio.toFixed(0) : ratio.toFixed(1)}x`
  if (ratio >= DISTURBED_RATIO) return { tone: 'bad', text: `bystander p99 ${times} of none`, detail }
  const isNoise = row.bystander.p99Us <= noiseRangeUs(rows)[1]
  return {
    tone: 'neutral',
    text: isNoise ? `${times} none, within its noise` : `bystander p99 ${times} of none`,
    detail,
  }
}

function markedDetail({ hooked, hook, mode, lanesReplaced }: Row): string {
  if (mode === 'none') return ''
  const parts: string[] = []
  if (hooked.markedFailures > 0 || hook === 'spins' || hook === 'throws') {
    parts.push(`${hooked.markedFailures} of ${hooked.marked} marked calls failed`)
  }
  if (lanesReplaced !== undefined && lanesReplaced > 0) parts.push(`lanes replaced: ${lanesReplaced}`)
  return parts.join(', ')
}

/** The story tells the cause at length; a cell of the table has room for this. */
function briefCause(died: string): string {
  return died.includes('event loop stood still') ? 'event loop stands still' : died.replace(/^its process /, '')
}

function sumUp(all: readonly CallFigures[]): RpcFigures {
  const failures: Record<string, number> = {}
  for (const one of all) {
    for (const [kind, count] of Object.entries(one.failures)) failures[kind] = (failures[kind] ?? 0) + count
  }
  const failed = total(Object.values(failures))
  const markedFailures = total(all.map((one) => one.markedFailures))
  return {
    p50Us: median(all.map((one) => one.p50Us)),
    p99Us: median(all.map((one) => one.p99Us)),
    p99RangeUs: rangeOf(all.map((one) => one.p99Us)),
    calls: total(all.map((one) => one.calls)),
    failed,
    failures,
    marked: total(all.map((one) => one.marked)),
    markedFailures,
    unmarkedFailures: failed - markedFailures,
  }
}

function rangeOf(values: readonly number[]): [number, number] {
  return [Math.min(...values), Math.max(...values)]
}

function total(counts: readonly number[]): number {
  return counts.reduce((sum, count) => sum + count, 0)
}
