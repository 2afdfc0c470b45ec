/**
 * What a run leaves behind: a Markdown table, an SVG plot and the JSON document under bench/results/, and the same table
 * on stdout for a person. Called on the main thread when a case has finished.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Progress } from './progress.js'

export interface CaseContext {
  readonly quick: boolean
  readonly progress: Progress
}

/** A case's result: the JSON document, the two renderings, and whether every figure could be taken. */
export interface CaseOutcome {
  readonly document: { readonly case: string } & Readonly<Record<string, unknown>>
  readonly markdown: string
  readonly svg: string
  /** False when a contender or mode failed, or when something that must never happen did. */
  readonly isComplete: boolean
}

export interface BenchCase {
  /** One line for the list of cases. */
  readonly answers: string
  run(context: CaseContext): Promise<CaseOutcome>
}

/** A sentence that the run confirms or refutes. `isHeld` is undefined when the figures for it are missing. */
export interface Claim {
  readonly claim: string
  readonly measured: string
  readonly isHeld: boolean | undefined
}

export function markdownTable(headers: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = headers.map((header, column) =>
    Math.max(header.length, ...rows.map((row) => (row[column] ?? '').length)),
  )
  const line = (cells: readonly string[]): string =>
    `| ${widths.map((width, column) => align(cells[column] ?? '', width, column)).join(' | ')} |`
  const rule = `| ${widths.map((width, column) => (column === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`)).join(' | ')} |`
  return [line(headers), rule, ...rows.map(line)].join('\n')
}

function align(text: string, width: number, column: number): string {
  return column === 0 ? text.padEnd(width) : text.padStart(width)
}

export function claimsTable(claims: readonly Claim[]): string {
  const word = (claim: Claim): string => (claim.isHeld === undefined ? 'not measured' : claim.isHeld ? 'pass' : 'FAIL')
  return claims.map((claim) => `- ${word(claim)}: ${claim.claim} (${claim.measured})`).join('\n')
}

/** One line that says on what a figure was measured: without it no figure means anything. */
export function machineLine(): string {
  const model = cpus()[0]?.model.trim() ?? 'unknown CPU'
  return `Node ${process.version}, ${availableParallelism()} CPUs (${model}), ${process.platform} ${process.arch}`
}

export function formatUs(us: number): string {
  if (!Number.isFinite(us)) return '-'
  if (us >= 1_000_000) return `${significant(us / 1_000_000)} s`
  if (us >= 1000) return `${significant(us / 1000)} ms`
  if (us >= 1) return `${significant(us)} µs`
  return `${significant(us * 1000)} ns`
}

export function formatMs(ms: number): string {
  return formatUs(ms * 1000)
}

export function formatRate(perSecond: number): string {
  if (!Number.isFinite(perSecond)) return '-'
  if (perSecond >= 1_000_000) return `${significant(perSecond / 1_000_000)} M/s`
  if (perSecond >= 1000) return `${significant(perSecond / 1000)} k/s`
  return `${significant(perSecond)}/s`
}

export function formatTimes(ratio: number): string {
  return Number.isFinite(ratio) ? `${significant(ratio)}x` : '-'
}

export function formatBytes(bytes: number): string {
  if (Math.abs(bytes) >= 1024 * 1024) return `${significant(bytes / 1024 / 1024)} MiB`
  if (Math.abs(bytes) >= 1024) return `${significant(bytes / 1024)} KiB`
  return `${bytes} B`
}

/** Three significant digits, without an exponent. */
export function significant(value: number): string {
  if (value === 0) return '0'
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))))
  return value.toFixed(Math.min(digits, 4))
}

/** Three digits are all that a noisy machine supports; JSON stays readable. */
export function rounded(value: number): number | null {
  return Number.isFinite(value) ? Number(value.toPrecision(4)) : null
}

/** Writes the three files and returns the folder. */
export function writeResults(outcome: CaseOutcome): string {
  const folder = join(packageRoot(), 'bench', 'results')
  mkdirSync(folder, { recursive: true })
  const base = join(folder, outcome.document.case)
  writeFileSync(`${base}.md`, `${outcome.markdown}\n`)
  writeFileSync(`${base}.svg`, outcome.svg)
  writeFileSync(`${base}.json`, `${JSON.stringify(outcome.document, null, 2)}\n`)
  return folder
}

/** The package's folder: benches run from wherever they were compiled to. */
export function packageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url))
  for (;;) {
    const manifest = join(folder, 'package.json')
    if (existsSync(manifest) && JSON.parse(readFileSync(manifest, 'utf8')).name === 'hookring') return folder
    const parent = dirname(folder)
    if (parent === folder) throw new Error('bench: no package named hookring around this file')
    folder = parent
  }
}
