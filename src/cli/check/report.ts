/**
 * What a check is asked and what it comes to: plain data, since it crosses from the process that runs the plugin. Types,
 * and the figures by which something counts as wrong.
 */

export interface CheckQuestion {
  /** A file: URL, or a package. */
  readonly from: string
  /** As it was written. */
  readonly shown: string
  readonly config?: unknown
  readonly contract: string | undefined
  /** Per hookpoint. */
  readonly events: number
  readonly seed: number
  readonly replay: string | undefined
  readonly timeoutMs: number
  readonly setupTimeoutMs: number
  /** Null: it may be looked at from close by, in a thread that can do all that the command can. */
  readonly confinement: Confinement | null
}

/** The engine's options by which a plugin is to be run, and not otherwise. */
export interface Confinement {
  readonly trust?: string
  readonly runtime?: string
  readonly boundary?: string
}

/** Which event it was: made up, or recorded. */
export type EventPlace =
  | { readonly index: number; readonly seed: number }
  | { readonly index: number; readonly file: string; readonly line: number }

export interface Finding {
  readonly id: FindingId
  /** What was seen. */
  readonly message: string
  readonly hookpoint?: string | undefined
  /** The first one at which it was seen. */
  readonly event?: EventPlace | undefined
  /** At how many events it was seen. */
  readonly count?: number | undefined
  readonly advice: string
}

export interface HookReport {
  readonly hookpoint: string
  readonly kind: string
  /** Whether it returned a promise; null when that was not seen. */
  isAsync: boolean | null
  /** How many events it was asked about. */
  events: number
  verdicts: Record<string, number>
  failures: Record<string, number>
  /** In the plugin, as its lane measured it. */
  runUs: { p50: number | null; p99: number | null; max: number | null }
  /** Heap that stays behind for each event; null when there were too few to tell. */
  bytesPerEvent: number | null
  /** Why it was asked about fewer events than it should have been. */
  note: string | null
}

export interface PluginReport {
  readonly from: string
  name: string | null
  contract: string | null
  /** How it was run, if it was run in that way alone. */
  readonly confinement: Confinement | null
  /** False: an engine would refuse it, `error` says why. */
  isLoaded: boolean
  error: { readonly code: string; readonly message: string } | null
  /** False when the check was interrupted, or its process died. */
  isComplete: boolean
  hooks: HookReport[]
  /** JSON Schema of the config; null when it takes none, or does not say. */
  config: unknown
  importMs: number | null
  setupMs: number | null
  destroyMs: number | null
  memory: { loadBytes: number | null }
  findings: Finding[]
}

export function emptyReport({ shown, confinement }: Pick<CheckQuestion, 'shown' | 'confinement'>): PluginReport {
  return {
    from: shown,
    name: null,
    contract: null,
    confinement,
    isLoaded: false,
    error: null,
    isComplete: false,
    hooks: [],
    config: null,
    importMs: null,
    setupMs: null,
    destroyMs: null,
    memory: { loadBytes: null },
    findings: [],
  }
}

/** A lane that is replaced imports its plugins anew, while calls wait. */
export const SLOW_IMPORT_MS = 500
export const SLOW_SETUP_MS = 1000
/** A lane whose hook has run this share of its time counts as late, and calls go elsewhere. */
export const SLOW_SHARE = 0.25
/** Less than this is noise of the measurement. */
export const GROWTH_BYTES_PER_EVENT = 64

/** What to do about each finding, by its id. */
export const ADVICE = {
  'hook-unknown': 'Rename the hook, or write the plugin for a contract that has the hookpoint.',
  'name-missing': 'Give definePlugin a name: lower-case letters, digits and dashes. Metrics and errors go by it.',
  'config-invalid': 'Pass a config that fits with --config; the schema is shown above.',
  'load-failed': 'An engine refuses to start with this plugin. Mend what the message says.',
  'load-hangs': 'Import and setup must come to an end: do not wait there for what may never come.',
  'import-slow': 'Import less, or bundle the plugin: each new lane waits for this, and calls wait with it.',
  'setup-slow': 'Do in the background what need not be there at the first call.',
  'no-hooks': 'Return the hooks from setup, by the names of the hookpoints.',
  throws: 'Catch what can go wrong: what a thrown error becomes is up to the failure policy, and a gate then denies.',
  'reply-invalid': 'Return nothing, reject(...), or what the kind of hookpoint allows, within its schema.',
  'times-out': 'Settle before ctx.deadline, or raise timeoutMs for this plugin.',
  blocks: 'Do not block the thread: every call of the lane waits, and the lane is replaced.',
  'cannot-be-stopped':
    'This call keeps its thread, and a core, until the process is killed: bound the input to what does it.',
  'kills-lane': 'The lane and all of its plugins go down with it: do not exit, and bound memory.',
  'kills-process': 'It takes the whole process down: find the native call or the allocation that does it.',
  slow: 'Make it faster or raise timeoutMs: from a quarter of its time on, a hook makes its lane late.',
  'ignores-signal': 'Pass ctx.signal on to what the hook waits for, and stop when it aborts.',
  'uncaught-error': 'Handle the error where it happens: nobody sees which call it belongs to.',
  'shutdown-fails': 'Let onShutdown end in time and without throwing.',
  'destroy-fails': 'Let destroy end in time and without throwing: what it holds leaks with every reload.',
  'leaves-handles': 'Clear in destroy what setup and hooks have opened: it leaks with every reload.',
  'memory-grows': 'Bound what is kept: by size or by age. If it is a store that is meant to grow, never mind.',
} as const satisfies Record<string, string>

export type FindingId = keyof typeof ADVICE

export function finding(id: FindingId, message: string, more: Partial<Finding> = {}): Finding {
  return { id, message, ...more, advice: ADVICE[id] }
}
