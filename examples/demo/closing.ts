/**
 * What the demo says before and after: the opening, the closing paragraph computed from the run's own figures, and what
 * did not hold in it. Pure; called by main.ts and the tests.
 */
import { HOOKS, type HookName } from '../../bench/rpc/misbehave.js'
import type { ModeName } from '../../bench/rpc/modes.js'
import { BYSTANDER_PER_SECOND, HOOKED_PER_SECOND } from '../../bench/rpc/rates.js'
import { HOOK_WORDS } from './plan.js'
import {
  bystanderRatio,
  DISTURBED_RATIO,
  findRow,
  innocentFailures,
  noiseRangeUs,
  policyRefusals,
  type Row,
  UNDISTURBED_RATIO,
} from './rows.js'
import { type StrangerReport, strangerShortfalls } from './stranger.js'
import { cellMs, countOf, listOf } from './words.js'

/** What a run came to. */
export interface Run {
  readonly rows: readonly Row[]
  readonly modes: readonly ModeName[]
  /** Modes whose server did not start, and why. */
  readonly unavailable: ReadonlyMap<ModeName, string>
  readonly slices: number
  readonly elapsedMs: number
  readonly machine: string
  readonly isInterrupted: boolean
  /** Why the story broke off, if it did. */
  readonly broken: string | undefined
  /** Undefined: the story did not come so far. */
  readonly stranger: StrangerReport | undefined
}

const PLACES: Readonly<Record<ModeName, string>> = {
  none: 'nowhere (none)',
  inline: "on the server's own thread (inline)",
  piscina: 'in a thread pool (piscina)',
  hookring: 'in worker lanes behind a ring in shared memory (hookring)',
}

/** What the hook did, in the past tense. */
const VERBS: Readonly<Record<HookName, string>> = {
  fast: 'was fast',
  sleeps: 'slept',
  spins: 'looped for ever',
  throws: 'threw',
}

export function tellOpening(modes: readonly ModeName[], seconds: number): string {
  return [
    'A gRPC server keeps messages and asks a plugin, its hook, about each one. A client in another process sends',
    `${HOOKED_PER_SECOND} of these a second and ${BYSTANDER_PER_SECOND} pings, which ask no hook: the bystanders.`,
    `The same hook runs ${listOf(modes.map((mode) => PLACES[mode]))}, each time in front of a server of its own,`,
    `and is fast first, then bad in three ways: it ${listOf(HOOKS.slice(1).map((hook) => HOOK_WORDS[hook]))}.`,
    "Watch the bystander's p99 and the event loop's delay: do they feel a hook that is none of their business?",
    `It takes about ${seconds} s; Ctrl-C ends it.`,
  ].join(' ')
}

/**
 * 0: told to the end, and hookring's server lived; 1: not so. Interrupts have codes of their own. A call that a machine
 * was too busy to run in time is told, and is what deadlines are for.
 */
export function exitCodeOf({ rows, unavailable, broken }: Run): 0 | 1 {
  if (broken !== undefined || unavailable.has('hookring')) return 1
  const own = rows.filter((row) => row.mode === 'hookring')
  return own.length > 0 && own.every((row) => row.died === undefined) ? 0 : 1
}

export function tellClosing(run: Run): string {
  const { rows, slices, elapsedMs, machine, isInterrupted, broken } = run
  const span = `${countOf(slices, 'slice')} in ${(elapsedMs / 1000).toFixed(1)} s on ${machine}`
  const state = isInterrupted
    ? `Interrupted after ${span}.`
    : broken !== undefined
      ? `The story broke off after ${span}: ${broken}.`
      : `What was seen, ${span}.`
  const found = findShortfalls(run)
  return [
    state,
    ...[...run.unavailable].map(([mode, why]) => `Mode ${mode} was left out: ${why}.`),
    ...tellSleeps(rows),
    ...tellDeaths(rows),
    ...tellHookring(rows),
    ...(found.length > 0 ? [`What did not hold in this run: ${found.join('; ')}.`] : []),
  ].join(' ')
}

/** Everything that the demo sets out to show and this run did not. Empty for what was not reached. */
export function findShortfalls({ rows, unavailable, stranger }: Run): string[] {
  const found: string[] = stranger === undefined ? [] : strangerShortfalls(stranger)
  if (unavailable.has('hookring')) found.push("hookring's server did not start")
  for (const row of rows.filter(({ mode }) => mode === 'hookring')) {
    const innocent = innocentFailures(row)
    const { marked, markedFailures, failed } = row.hooked
    const otherwise = failed - policyRefusals(row).count
    // A hook that is late by less than its deadline is served; one that never returns, or throws, must be refused.
    const mustRefuse = row.hook === 'spins' || row.hook === 'throws'
    if (row.died !== undefined) found.push(`${row.hook}: hookring's server died: ${causeOf(row.died)}`)
    if (innocent > 0) found.push(`${row.hook}: ${countOf(innocent, 'unmarked call')} failed through hookring`)
    if (otherwise > 0)
      found.push(`${row.hook}: ${countOf(otherwise, 'call')} failed otherwise than by hookring's policy`)
    if (mustRefuse && markedFailures < marked) {
      found.push(`${row.hook}: ${marked - markedFailures} of ${countOf(marked, 'marked call')} not refused by hookring`)
    }
  }
  return [...found, ...findSleepShortfalls(rows), ...findInlineShortfalls(rows)]
}

function findSleepShortfalls(rows: readonly Row[]): string[] {
  const row = findRow(rows, 'hookring', 'sleeps')
  if (row === undefined || row.died !== undefined) return []
  const ratio = bystanderRatio(rows, row)
  if (!(ratio > UNDISTURBED_RATIO)) return []
  const [least, most] = noiseRangeUs(rows)
  return [
    `sleeps: a bystander's p99 of ${timesOf(ratio)} through hookring, where ${UNDISTURBED_RATIO}x is the aim; without a hook, single slices ranged from ${msOf(least)} to ${msOf(most)} (npm run bench -- rpc looks closer)`,
  ]
}

function findInlineShortfalls(rows: readonly Row[]): string[] {
  const found: string[] = []
  const sleeps = findRow(rows, 'inline', 'sleeps')
  if (sleeps !== undefined && bystanderRatio(rows, sleeps) < DISTURBED_RATIO) {
    found.push('sleeps: bystanders of the inline server hardly felt it')
  }
  if (findRow(rows, 'inline', 'spins')?.died === undefined && findRow(rows, 'inline', 'spins') !== undefined) {
    found.push('spins: the inline server did not die')
  }
  return found
}

function tellSleeps(rows: readonly Row[]): string[] {
  const none = findRow(rows, 'none', 'sleeps')
  if (none === undefined) return []
  const others = (['inline', 'piscina', 'hookring'] as const).flatMap((mode) => {
    const row = findRow(rows, mode, 'sleeps')
    if (row === undefined) return []
    return `${msOf(row.bystander.p99Us)} ${modeWords(mode)} (${timesOf(bystanderRatio(rows, row))})`
  })
  const measure = `Without a hook, a bystander's p99 was ${msOf(none.bystander.p99Us)}`
  return [others.length === 0 ? `${measure}.` : `${measure}; while the hook slept, it was ${listOf(others)}.`]
}

function tellDeaths(rows: readonly Row[]): string[] {
  const dead = rows.filter((row) => row.mode !== 'hookring' && row.died !== undefined)
  return dead.map((row) => {
    const others = countOf(innocentFailures(row), 'other call')
    const what = row.hook === 'spins' ? 'One call that looped for ever' : `The hook that ${VERBS[row.hook]}`
    return `${what} killed the server ${modeWords(row.mode)}: ${causeOf(row.died ?? '')}, and ${others} failed with it.`
  })
}

function tellHookring(rows: readonly Row[]): string[] {
  const own = rows.filter((row) => row.mode === 'hookring')
  if (own.length === 0) return []
  const sum = (of: (row: Row) => number): number => own.reduce((total, row) => total + of(row), 0)
  const calls = sum((row) => row.hooked.calls + row.bystander.calls)
  const refused = own.flatMap((row) => {
    const { marked, markedFailures } = row.hooked
    if (markedFailures === 0) return []
    const { kinds } = policyRefusals(row)
    const reason = kinds.length === 0 ? '' : ` (${listOf(kinds)})`
    return `${markedFailures} of ${marked} whose hook ${VERBS[row.hook]}${reason}`
  })
  const replaced = sum((row) => row.lanesReplaced ?? 0)
  const others = sum(innocentFailures)
  const other = refused.length === 0 ? '' : 'other '
  const deaths = own.filter((row) => row.died !== undefined)
  return [
    `The server with hookring took ${countOf(calls, 'call')}.`,
    ...(refused.length === 0 ? [] : [`It refused ${listOf(refused)}.`]),
    ...(replaced === 0 ? [] : [`For that it replaced ${countOf(replaced, 'lane')}.`]),
    ...tellSlowBystanders(rows, own),
    `${others === 0 ? `No ${other}call` : countOf(others, `${other}call`)} failed, and ${
      deaths.length === 0 ? 'the server never stopped' : `it died: ${causeOf(deaths[0]?.died ?? '')}`
    }.`,
  ]
}

/** Isolation is not free of charge: a hook that takes a core, and a lane that starts, take time from all. */
function tellSlowBystanders(rows: readonly Row[], own: readonly Row[]): string[] {
  const slow = own.flatMap((row) => {
    const ratio = bystanderRatio(rows, row)
    // The sleeping hook's bystanders have a sentence of their own.
    if (row.hook === 'sleeps' || row.died !== undefined || !(ratio >= DISTURBED_RATIO)) return []
    return `${msOf(row.bystander.p99Us)} (${timesOf(ratio)}) while the hook ${VERBS[row.hook]}`
  })
  return slow.length === 0 ? [] : [`Its bystanders' p99 was ${listOf(slow)}.`]
}

function modeWords(mode: ModeName): string {
  return mode === 'inline' ? 'with the hook inline' : `through ${mode}`
}

/** The story's own words, up to the clause that says how the server's death was noticed. */
function causeOf(died: string): string {
  return died.replace(/^the server's event loop stood still.*/, 'its event loop stood still')
}

function msOf(us: number): string {
  return `${cellMs(us)} ms`
}

function timesOf(ratio: number): string {
  if (!Number.isFinite(ratio)) return 'no measure to compare with'
  return `${ratio >= 9.95 ? ratio.toFixed(0) : ratio.toFixed(ratio < 1.995 ? 2 : 1)}x`
}
