/**
 * Runs attacks, each in a server's process that the last one has left intact, several processes at a time, and judges what
 * they came to.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { type AskedProcess, ReportedFailure, startProcess } from '../../../bench/instruments.js'
import { packageRoot } from '../hostile/command-line.js'
import type { AttackReport, AttackRequest } from './attacked-process.js'
import { type AttackedBoundary, type AttackedRuntime, isGuaranteed } from './corpus.js'
import { MEMORY_MB } from './limits.js'

export type Outcome = 'contained' | 'refused' | 'escaped' | 'host-died' | 'wedged' | 'wrong-verdict' | 'too-much-memory'

export interface Row {
  readonly runtime: AttackedRuntime
  readonly boundary: AttackedBoundary
  readonly class: string
  readonly attack: string
  readonly outcome: Outcome
  /** The longest time that the server's event loop stood still, null when it did not live to tell. */
  readonly loopBlockedMs: number | null
  readonly servesAgain: boolean
  /** What the outcome rests on, in words. */
  readonly why: string
}

export interface Campaign {
  readonly rows: readonly Row[]
  /** Combinations that could not be attacked on this machine, and why. */
  readonly skipped: ReadonlyMap<string, string>
}

/** A loop that stands still for longer has been blocked. */
export const MOST_BLOCKED_MS = 20
/** The limit of an attacked plugin and three tenths; above what a plugin that does no harm takes. */
const MOST_GROWN_MB = MEMORY_MB * 1.3
/** All that an attack may take, its engine's opening and closing included. */
const ATTACK_TIMEOUT_MS = 45_000
/** A machine stalls now and then, an attack that blocks does so each time. */
const TRIES = 3

export interface CampaignOptions {
  readonly requests: readonly AttackRequest[]
  readonly processes: number
  readonly signal: AbortSignal
  onRow(row: Row, done: number): void
}

export async function runCampaign({ requests, processes, signal, onRow }: CampaignOptions): Promise<Campaign> {
  const rows: (Row | undefined)[] = requests.map(() => undefined)
  const skipped = new Map<string, string>()
  let next = 0
  let done = 0

  async function work(): Promise<void> {
    let attacked: AskedProcess | null = null
    const fresh = async () => {
      await attacked?.end()
      attacked = null
    }
    try {
      for (; next < requests.length && !signal.aborted; ) {
        const at = next
        next += 1
        const request = requests[at] as AttackRequest
        const combination = `${request.runtime}, ${request.boundary}`
        if (skipped.has(combination)) continue
        let row: Row | undefined
        for (let attempt = 0; attempt < TRIES; attempt += 1) {
          attacked ??= startProcess(new URL('./attacked-process.js', import.meta.url))
          const result = await attack(attacked, request)
          if ('missing' in result) {
            skipped.set(combination, result.missing)
            row = undefined
            break
          }
          // An engine around the attack that did not open in time, on a machine that is busy: no word on the attack.
          if ('failed' in result) {
            await fresh()
            continue
          }
          if (row === undefined || (result.row.loopBlockedMs ?? 0) < (row.loopBlockedMs ?? 0)) row = result.row
          if (!result.isIntact) await fresh()
          const isSlow = (result.row.loopBlockedMs ?? 0) > MOST_BLOCKED_MS
          if (!isSlow || !isGuaranteed(request.runtime, request.boundary)) break
        }
        if (row === undefined) {
          if (!skipped.has(combination)) skipped.set(`${combination}: ${request.attack.name}`, 'it could not be set up')
          continue
        }
        rows[at] = row
        done += 1
        onRow(row, done)
      }
    } finally {
      await fresh()
    }
  }

  // Inside the package, so that plugins find it by name.
  const cache = join(packageRoot(), '.cache')
  mkdirSync(cache, { recursive: true })
  const folder = mkdtempSync(join(cache, 'attacks-'))
  process.env.HOOKRING_ATTACKS_FOLDER = folder
  try {
    await Promise.all(Array.from({ length: processes }, work))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
  return { rows: rows.filter((row) => row !== undefined), skipped }
}

type Result =
  | { readonly row: Row; readonly isIntact: boolean }
  | { readonly missing: string }
  | { readonly failed: string }

async function attack(attacked: AskedProcess, request: AttackRequest): Promise<Result> {
  const { attack: tried, runtime, boundary } = request
  const head = { runtime, boundary, class: tried.class, attack: tried.name }
  try {
    const report = await attacked.ask<AttackReport>(request, ATTACK_TIMEOUT_MS)
    const { servesAgain, loopBlockedMs, zombies } = report
    const { outcome, why } = judge(report)
    const isIntact = zombies === 0 && (outcome === 'contained' || outcome === 'refused')
    return { row: { ...head, outcome, loopBlockedMs, servesAgain, why }, isIntact }
  } catch (error) {
    const { message, code } = error as { message: string; code?: string }
    if (code !== undefined && /MISSING/.test(code)) return { missing: message }
    if (error instanceof ReportedFailure) return { failed: message }
    const isSilent = message.startsWith('no answer')
    const outcome = isSilent ? 'wedged' : 'host-died'
    return {
      row: { ...head, outcome, loopBlockedMs: null, servesAgain: false, why: message },
      isIntact: false,
    }
  }
}

function judge(report: AttackReport): { outcome: Outcome; why: string } {
  const { escapes, wrong, hostErrors, servesAgain, isRefused, told, zombies, grownMb, controlMb } = report
  if (escapes.length > 0) return { outcome: 'escaped', why: escapes.join('; ') }
  if (hostErrors.length > 0) return { outcome: 'host-died', why: hostErrors.join('; ') }
  if (wrong.length > 0) return { outcome: 'wrong-verdict', why: wrong.join('; ') }
  if (!servesAgain || zombies > 0) {
    return { outcome: 'wedged', why: zombies > 0 ? 'a thread that nothing ends' : 'it did not serve again' }
  }
  if (grownMb > MOST_GROWN_MB + controlMb) {
    const why = `the server grew by ${grownMb.toFixed(0)} MB, and by ${controlMb.toFixed(0)} MB without harm`
    return { outcome: 'too-much-memory', why }
  }
  return { outcome: isRefused ? 'refused' : 'contained', why: told }
}
