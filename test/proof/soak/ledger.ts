/**
 * The account of every call and every observation. Host's thread only.
 *
 * An observation counts once for each plugin that is to be told of it. Entries are closed when nothing more is expected
 * of them, so that the ledger stays small however long the run is:
 *
 *   calls         = settledOnce + settledTwice + neverSettled
 *   observations  = deliveredOnce + deliveredTwice + reportedUndelivered + unexplained
 *
 * What counts as what is said in `--help`.
 */
import type { DeadLetter, Verdict } from 'hookring'
import { HookringError } from 'hookring'
import type { Asked, Entry, Stay } from './entries.js'
import { idOf, type SoakEvent } from './events.js'
import type { Evidence } from './evidence.js'
import { type Answer, isTrue } from './judge.js'
import { type LedgerFigures, type LedgerNotes, noFigures, noNotes } from './ledger-figures.js'
import { isParallel, kindOf, type Role } from './roles.js'

/** A settled call, or an observation that everybody was told of, is looked at once more after this long. */
export const CLOSE_AFTER_MS = 10_000
/** A call that has not settled by then never will. */
export const CALL_PATIENCE_MS = 30_000
/** An observation waits as long as its lane takes to start; more than this is no start. */
export const TELL_PATIENCE_MS = 60_000
const FINDINGS_KEPT = 20

export interface Ledger {
  readonly figures: LedgerFigures
  readonly notes: LedgerNotes
  /** What was found, in words; the first few. */
  readonly findings: readonly string[]
  /** Entries that are still open. */
  readonly size: number
  asked(id: number, asked: Asked): void
  told(id: number, asked: Asked): void
  settled(id: number, outcome: { verdict: Verdict } | { error: unknown }, holdsNow: number): void
  letter(stay: Stay, letter: DeadLetter): void
  lostQuarantine(plugin: string): void
  /** Closes what is old enough. */
  sweep(): void
  /** The engine has closed: everything of it is closed now. `quarantined` are its own counts of observations, by plugin. */
  close(stay: Stay, quarantined: ReadonlyMap<string, number>): void
  /** Closes what is left: engines did not close. */
  closeRest(): void
  /** Reads what plugins have noticed. */
  readEvidence(): void
}

export function createLedger(
  evidence: Evidence,
  now: () => number,
  stoodStillSince: (sinceMs: number) => boolean = () => false,
): Ledger {
  const entries = new Map<number, Entry>()
  const findings: string[] = []
  const figures = noFigures()
  const notes = noNotes()

  function finding(entry: Entry | null, what: string): void {
    if (findings.length >= FINDINGS_KEPT) return
    const where = entry === null ? '' : `${entry.asked.stay.cast.name} ${entry.asked.hookpoint} call ${entry.id}: `
    findings.push(`${(now() / 1000).toFixed(1)} s  ${where}${what}`)
  }

  function open(id: number, asked: Asked, isCall: boolean): void {
    entries.set(id, { asked, id, madeMs: now(), isCall, wasClosing: asked.stay.isClosing, settled: 0, letters: 0 })
  }

  function settled(id: number, outcome: { verdict: Verdict } | { error: unknown }, holdsNow: number): void {
    const entry = entries.get(id)
    if (entry === undefined) return
    entry.settled += 1
    if ('verdict' in outcome) {
      const { failure } = outcome.verdict
      count(notes.decidedBy, failure === undefined ? 'plugins' : failure.kind)
      if (!isVerdictTrue(entry, outcome)) wrong(entry, JSON.stringify(outcome.verdict, plainly))
    } else {
      const { error } = outcome
      count(notes.decidedBy, error instanceof HookringError ? error.code : 'unknown error')
      if (!isErrorTrue(entry, error)) wrong(entry, String(error))
    }
    checkHeld(entry, holdsNow)
  }

  function wrong(entry: Entry, said: string): void {
    notes.wrongVerdicts += 1
    const entered = entry.asked.links.map(({ role, versions }) => {
      const marks = role.column === null ? '?' : evidence.entered(entry.id, role.column)
      return `${role.name}@${versions.join('|')} entered ${marks} (${entry.asked.states.get(role.name)})`
    })
    const act = entry.asked.actor === null ? '' : `, ${entry.asked.actor.name} was told: ${entry.asked.act}`
    finding(entry, `wrong: ${said}; event ${JSON.stringify(entry.asked.event, plainly)}; ${entered.join(', ')}${act}`)
  }

  function isVerdictTrue(entry: Entry, answer: Answer): boolean {
    const { stay, hookpoint, event, act, actor } = entry.asked
    const chain = entry.asked.links.filter(({ role }) => role.options?.mode !== 'shadow')
    return isTrue(
      {
        kind: kindOf(stay.cast, hookpoint),
        isParallel: isParallel(stay.cast, hookpoint),
        hookpoint,
        event,
        chain,
        act,
        actor,
        stoodStill: stoodStillSince(entry.madeMs),
        entered: ({ column }) => (column === null ? 0 : evidence.entered(entry.id, column)),
      },
      answer,
    )
  }

  function isErrorTrue(entry: Entry, error: unknown): boolean {
    if (!(error instanceof HookringError)) return false
    switch (error.code) {
      case 'CALL_ABORTED':
        return entry.asked.signal?.aborted === true
      case 'ENGINE_CLOSED':
        return entry.asked.stay.isClosing
      case 'EVENT_INVALID':
        return entry.asked.isMisfit
      case 'PLUGIN_FAILED':
        return isVerdictTrue(entry, { raised: error.cause as never })
      default:
        return false
    }
  }

  /** Whoever was held when the call was made, and all the time since, has not been asked. */
  function checkHeld(entry: Entry, holdsNow: number): void {
    if (entry.asked.holds !== holdsNow) return
    for (const { role } of entry.asked.links) {
      if (role.column === null || entry.asked.states.get(role.name) !== 'held') continue
      if (evidence.entered(entry.id, role.column) === 0) continue
      notes.askedWhileHeld += 1
      finding(entry, `${role.name} was asked although an operator had quarantined it`)
    }
  }

  function letter(stay: Stay, { hookpoint, plugin, event, reason }: DeadLetter): void {
    const entry = event === undefined ? undefined : entries.get(idOf(hookpoint, event as SoakEvent))
    const role = entry?.asked.links.find((link) => link.role.name === plugin)?.role
    if (entry === undefined || entry.asked.stay !== stay || role === undefined || role.column === null) {
      notes.strayLetters += 1
      finding(null, `a dead letter of ${stay.cast.name} ${hookpoint} for ${plugin} that belongs to no open observation`)
      return
    }
    const bit = 1 << role.column
    if ((entry.letters & bit) !== 0) {
      notes.reportedTwice += 1
      finding(entry, `reported undelivered to ${plugin} twice`)
    }
    entry.letters |= bit
    count(notes.reportedBy, `deadLetter: ${reason}`)
  }

  function closeCall(entry: Entry): void {
    entries.delete(entry.id)
    let isTwice = entry.settled > 1
    for (const { role } of entry.asked.links) {
      if (role.column === null || evidence.entered(entry.id, role.column) < 2) continue
      notes.enteredTwice += 1
      isTwice = true
      finding(entry, `${role.name} was run ${evidence.entered(entry.id, role.column)} times`)
    }
    if (isTwice) figures.settledTwice += 1
    else if (entry.settled === 1) figures.settledOnce += 1
    else {
      figures.neverSettled += 1
      finding(entry, 'never settled')
    }
  }

  /** What one plugin's share of an observation has come to; null: nothing yet. */
  function fateOf(entry: Entry, role: Role): 'deliveredOnce' | 'deliveredTwice' | 'reportedUndelivered' | null {
    const column = role.column as number
    const entered = evidence.entered(entry.id, column)
    if (entered > 1) return 'deliveredTwice'
    if ((entry.letters & (1 << column)) !== 0) return 'reportedUndelivered'
    return entered === 1 && hasEnded(entry, role) ? 'deliveredOnce' : null
  }

  /** A hook that was entered comes back or is reported; but for one that was told never to settle, or to do so late. */
  function hasEnded(entry: Entry, role: Role): boolean {
    if (evidence.hasReturned(entry.id, role.column as number)) return true
    return entry.asked.actor === role && (entry.asked.act === 'hang' || entry.asked.act === 'lateReply')
  }

  function isUntouched(entry: Entry, role: Role): boolean {
    const column = role.column as number
    return evidence.entered(entry.id, column) === 0 && (entry.letters & (1 << column)) === 0
  }

  /** It was in quarantine when the observation was made; the engine's own count says whether this was so. */
  function isPassedBy(entry: Entry, role: Role): boolean {
    const { states, stay } = entry.asked
    if (stay.cast.isRecreated === true || !isUntouched(entry, role)) return false
    return (states.get(role.name) ?? 'active') !== 'active'
  }

  /** The plugins that are to be told; one that is asked by chance only if it was. */
  function* told(entry: Entry): Iterable<Role> {
    for (const { role } of entry.asked.links) {
      if (role.column === null || (role.wants !== undefined && !role.wants(entry.asked.event))) continue
      if ((role.options?.sample ?? 1) < 1 && isUntouched(entry, role)) continue
      yield role
    }
  }

  function hasAnswers(entry: Entry): boolean {
    for (const role of told(entry)) if (fateOf(entry, role) === null) return false
    return true
  }

  /** @param refused whether the engine has said that it refused the whole of it. */
  function closeTell(entry: Entry, refused = false): void {
    entries.delete(entry.id)
    for (const role of told(entry)) {
      figures.observations += 1
      const fate = fateOf(entry, role)
      if (fate !== null) {
        figures[fate] += 1
        if (fate === 'deliveredTwice') finding(entry, `${role.name} was told twice`)
        if (fate === 'reportedUndelivered' && evidence.entered(entry.id, role.column as number) > 0)
          notes.reportedThoughEntered += 1
      } else if (refused && isUntouched(entry, role)) {
        figures.reportedUndelivered += 1
        count(notes.reportedBy, 'error: ENGINE_CLOSED')
      } else if (isPassedBy(entry, role)) {
        // Held against the engine's own count when it closes.
        count(notes.reportedBy, 'quarantined')
        figures.reportedUndelivered += 1
        entry.asked.stay.passedBy.set(role.name, (entry.asked.stay.passedBy.get(role.name) ?? 0) + 1)
      } else {
        figures.unexplained += 1
        const what = isUntouched(entry, role) ? 'was not told' : 'was interrupted'
        const afterS = ((now() - entry.madeMs) / 1000).toFixed(1)
        finding(entry, `${role.name} ${what}, and nobody said so (${afterS} s)`)
      }
    }
  }

  function sweep(): void {
    const nowMs = now()
    for (const entry of entries.values()) {
      const ageMs = nowMs - entry.madeMs
      if (ageMs < CLOSE_AFTER_MS) break
      if (entry.isCall) {
        if (entry.settled > 0 || ageMs > CALL_PATIENCE_MS) closeCall(entry)
      } else if (!entry.asked.stay.isClosing && (hasAnswers(entry) || ageMs > TELL_PATIENCE_MS)) closeTell(entry)
    }
  }

  function close(stay: Stay, quarantined: ReadonlyMap<string, number>): void {
    let refusals = stay.refusals
    for (const entry of entries.values()) {
      if (entry.asked.stay !== stay) continue
      if (entry.isCall) {
        closeCall(entry)
        continue
      }
      const isBlank = [...told(entry)].every((role) => isUntouched(entry, role))
      const isRefused = isBlank && entry.wasClosing && refusals > 0
      if (isRefused) refusals -= 1
      closeTell(entry, isRefused)
    }
    for (const [plugin, passedBy] of stay.passedBy) {
      const surplus = passedBy - (quarantined.get(plugin) ?? 0)
      if (surplus <= 0) continue
      figures.reportedUndelivered -= surplus
      figures.unexplained += surplus
      finding(null, `${plugin} was passed by ${passedBy} times, of which the engine counted ${passedBy - surplus}`)
    }
  }

  return {
    figures,
    notes,
    findings,
    get size() {
      return entries.size
    },
    asked(id, asked) {
      figures.calls += 1
      open(id, asked, true)
    },
    told: (id, asked) => open(id, asked, false),
    settled,
    letter,
    lostQuarantine(plugin) {
      notes.lostQuarantines += 1
      finding(null, `the quarantine of ${plugin} ended without a release`)
    },
    sweep,
    close,
    closeRest() {
      for (const entry of entries.values()) {
        if (entry.isCall) closeCall(entry)
        else closeTell(entry)
      }
    },
    readEvidence() {
      notes.garbledEvents = evidence.garbled()
      figures.orderViolations = evidence.disordered().within
    },
  }
}

function count(into: Record<string, number>, key: string): void {
  into[key] = (into[key] ?? 0) + 1
}

function plainly(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return String(value)
  return value instanceof Uint8Array ? `${value.length} bytes` : value
}
