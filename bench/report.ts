/**
 * What a run leaves behind: a Markdown table, an SVG plot and the JSON document under bench/results/, and the same table
 * on stdout for a person. Called on the main thread when a case has finished.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type ProgressLine, rounded } from './instruments.js'

export {
  formatBytes,
  formatMs,
  formatRate,
  formatTimes,
  formatUs,
  machineLine,
  markdownTable,
  rounded,
  significant,
} from './instruments.js'

/** Less of the machine's CPU time than this shows in no figure. */
const WORTH_SAYING_SHARE = 0.01

export interface CaseContext {
  readonly quick: boolean
  readonly progress: ProgressLine
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

export function claimsTable(claims: readonly Claim[]): string {
  const word = (claim: Claim): string => (claim.isHeld === undefined ? 'not measured' : claim.isHeld ? 'pass' : 'FAIL')
  return claims.map((claim) => `- ${word(claim)}: ${claim.claim} (${claim.measured})`).join('\n')
}

/** The outcome, saying how much of the machine its neighbours had during the run, where the system tells. */
export function withStolenShare(outcome: CaseOutcome, share: number | undefined): CaseOutcome {
  if (share === undefined) return outcome
  const remark = `The machine's neighbours had ${(share * 100).toFixed(1)} % of its CPU time during this run.`
  return {
    ...outcome,
    document: { ...outcome.document, stolenShare: rounded(share) },
    markdown: share < WORTH_SAYING_SHARE ? outcome.markdown : `${outcome.markdown}\n\n${remark}`,
  }
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
