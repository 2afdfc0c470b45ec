/**
 * The demo's last act: what a stranger's plugin tries, and what came of it. Plain values and words; for the process that
 * runs it, the plugin itself, main.ts and the tests.
 */
import { cellMs } from './words.js'

/** By the length of the message that asks for it. */
export const ATTEMPTS = [
  { name: 'steal', bytes: 101, words: 'looks for the process, its files and its network' },
  { name: 'pollute', bytes: 102, words: 'changes the prototypes that all objects share' },
  { name: 'loop', bytes: 103, words: 'loops for ever' },
  { name: 'hoard', bytes: 104, words: 'takes memory without end' },
  { name: 'flood', bytes: 105, words: 'answers with 50 MB' },
] as const

export type AttemptName = (typeof ATTEMPTS)[number]['name']

export interface Attempt {
  readonly name: AttemptName
  /** What the client of that message was told. */
  readonly told: string
  readonly tookMs: number
  /** The next message passed, by the plugin's leave. */
  readonly servesAgain: boolean
}

export interface StrangerReport {
  readonly attempts: readonly Attempt[]
  /** RPCs that asked no hook, meanwhile. */
  readonly pings: number
  readonly failedPings: number
  readonly slowestPingMs: number
  /** The honest plugin beside it: verdicts that it gave, and how many of them were wrong. */
  readonly neighbour: { readonly verdicts: number; readonly wrong: number }
  readonly isPolluted: boolean
}

/** A heading, a line for each attempt, and the last word. */
export function tellStranger(report: StrangerReport): string[] {
  const { attempts, pings, failedPings, slowestPingMs, neighbour, isPolluted } = report
  const lines = attempts.map(({ name, told, tookMs, servesAgain }) => {
    const { words } = ATTEMPTS.find((attempt) => attempt.name === name) ?? { words: name }
    const after = servesAgain ? 'and it serves again' : 'and it does not serve again'
    return `  ${words.padEnd(50)} ${told}, after ${cellMs(tookMs * 1000)} ms, ${after}`
  })
  const failed = failedPings === 0 ? 'none failed' : `${failedPings} failed`
  const world = isPolluted ? "THE SERVER'S OBJECTS WERE CHANGED" : "the server's objects are as they were"
  return [
    "Last, a stranger's plugin that means harm, loaded with trust: 'untrusted' and so in QuickJS:",
    ...lines,
    `  Meanwhile ${pings} pings were answered, the slowest after ${cellMs(slowestPingMs * 1000)} ms; ${failed}. The honest plugin beside it`,
    `  gave ${neighbour.verdicts} verdicts, ${neighbour.wrong} of them wrong; ${world}.`,
  ]
}

/** What did not hold. Empty: it was contained. */
export function strangerShortfalls({ attempts, failedPings, neighbour, isPolluted }: StrangerReport): string[] {
  const found = attempts.filter(({ servesAgain }) => !servesAgain).map(({ name }) => `${name}: it did not serve again`)
  const stolen = attempts.find(({ name, told }) => name === 'steal' && !told.includes('found: nothing'))
  if (stolen !== undefined) found.push(`steal: ${stolen.told}`)
  if (failedPings > 0) found.push(`${failedPings} pings failed`)
  if (neighbour.wrong > 0) found.push(`${neighbour.wrong} verdicts of the honest plugin were wrong`)
  if (isPolluted) found.push("pollute: the server's objects were changed")
  return found
}
