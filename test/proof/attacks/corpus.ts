/**
 * What an attack is, and all of them. An attack on the JavaScript runtimes is a piece of a plugin's source; one on the
 * runtimes of the C ABI is an act of a compiled plugin. Plain data, for main.ts and the process that is attacked.
 */
import { denialOfService } from './corpus-denial.js'
import { escapes } from './corpus-escape.js'
import { escapesByImport } from './corpus-import.js'
import { bombs, nativeAttacks, wasmAttacks } from './corpus-native.js'
import { pollution } from './corpus-pollution.js'
import { sourceAttacks } from './corpus-sources.js'
import { badVerdicts } from './corpus-verdicts.js'
import type { WasmBomb } from './wasm-bombs.js'

export const CLASSES = ['escape', 'pollution', 'theft', 'verdict', 'denial'] as const
export type AttackClass = (typeof CLASSES)[number]

/** Where in the plugin the code stands. */
export type Place = 'import' | 'setup' | 'onGate' | 'onTransform' | 'onRespond' | 'onShutdown' | 'destroy'

export interface ScriptAttack {
  readonly kind: 'script'
  readonly class: AttackClass
  readonly name: string
  readonly place: Place
  /** Sees what prelude.ts gives, and in a hook `event` and `ctx`. */
  readonly code: string
  /** Given: the plugin stands in a folder of its own, with these beside it. */
  readonly beside?: Beside
}

/** An act of test/runtimes/c/acts.c, or of attacks.c. */
export interface BinaryAttack {
  readonly kind: 'binary'
  readonly class: AttackClass
  readonly name: string
  readonly binary: 'acts' | 'attacks'
  readonly act: number
  readonly argument: number
  readonly runtimes: readonly ('wasm' | 'native')[]
  /** Left out: both. In the server's own process some would reach the one who judges. */
  readonly boundary?: 'process'
}

/** What lies beside a plugin, by its path: a file, a symbolic link, a pipe. */
export type Beside = Readonly<
  Record<
    string,
    | { readonly text: string }
    | { readonly link: string }
    | { readonly pipe: true }
    | { readonly repeated: string; readonly times: number }
  >
>

/** A WebAssembly module that is made for it: see wasm-bombs.ts. */
export interface BombAttack {
  readonly kind: 'bomb'
  readonly class: AttackClass
  readonly name: WasmBomb
  /** How many calls it is asked, should it load. */
  readonly calls: number
}

export type Attack = ScriptAttack | BinaryAttack | BombAttack

export const SCRIPT_RUNTIMES = ['module', 'compartment', 'quickjs'] as const
export const RUNTIMES = [...SCRIPT_RUNTIMES, 'wasm', 'native'] as const
export const BOUNDARIES = ['thread', 'process'] as const
export type AttackedRuntime = (typeof RUNTIMES)[number]
export type AttackedBoundary = (typeof BOUNDARIES)[number]

export const ATTACKS: readonly Attack[] = [
  ...escapes,
  ...escapesByImport,
  ...sourceAttacks,
  ...pollution,
  ...badVerdicts,
  ...denialOfService,
  ...wasmAttacks,
  ...bombs,
  ...nativeAttacks,
]

export function runtimesOf(attack: Attack): readonly AttackedRuntime[] {
  if (attack.kind === 'bomb') return ['wasm']
  return attack.kind === 'script' ? SCRIPT_RUNTIMES : attack.runtimes
}

/** Where nothing may get out, the server must live on unhindered, and the lane must serve again. */
export function isGuaranteed(runtime: AttackedRuntime, boundary: AttackedBoundary): boolean {
  return boundary === 'process' || runtime === 'quickjs' || runtime === 'wasm'
}
