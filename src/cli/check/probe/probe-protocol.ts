/** What a probe is given, and what it says while it goes: plain data, which crosses between its thread and its starter. Types. */

export interface ProbeTask {
  readonly url: string
  readonly name: string | undefined
  readonly config: unknown
  readonly contract: string | undefined
  readonly timeoutMs: number
  /** For import, and for setup. */
  readonly setupTimeoutMs: number
  /** By hookpoint; without them the plugin is set up and destroyed, and that is all. */
  readonly events: Readonly<Record<string, readonly unknown[]>> | null
  /** What a run took in a lane, by hookpoint, in ms. */
  readonly usualMs: Readonly<Record<string, number>>
}

export type ProbeSays =
  | { readonly kind: 'stage'; readonly stage: string }
  | { readonly kind: 'definition'; readonly name: string | null; readonly contract: string; readonly config: unknown }
  | { readonly kind: 'imported'; readonly ms: number }
  | { readonly kind: 'setUp'; readonly ms: number; readonly hooks: ProbedHook[]; readonly loadBytes: number }
  | { readonly kind: 'unknownHooks'; readonly names: readonly string[]; readonly known: readonly string[] }
  | { readonly kind: 'exercised'; readonly hooks: readonly HookSeen[] }
  | {
      readonly kind: 'closed'
      readonly ms: number
      readonly failures: Readonly<Partial<Record<'onShutdown' | 'destroy', string>>>
      readonly handles: readonly string[]
    }
  | { readonly kind: 'refused'; readonly code: string; readonly message: string }
  | { readonly kind: 'uncaught'; readonly message: string }

export interface ProbedHook {
  readonly hookpoint: string
  readonly kind: string
  /** By how it is written; what it returns may tell otherwise. */
  readonly isAsyncFunction: boolean
}

export interface HookSeen {
  readonly hookpoint: string
  readonly isAsync: boolean
  readonly bytesPerEvent: number | null
  /** Milliseconds for which the promise was still pending when its signal had aborted; null when it heeded it. */
  readonly ignoredSignalMs: number | null
  /** Index of the first event for which it returned a verdict, whether or not it was asked for one. */
  readonly firstVerdict: number | null
}
