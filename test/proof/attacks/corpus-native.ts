/**
 * Attacks by compiled plugins. Those for both runtimes are acts of test/runtimes/c/acts.c, whose module is part of the tree;
 * attacks.c, which asks the system for what a WebAssembly module cannot even name, is compiled where there is a compiler.
 */
import type { AttackClass, BinaryAttack, BombAttack } from './corpus.js'
import { NO_BOMB, WASM_BOMBS, type WasmBomb } from './wasm-bombs.js'

const acts = (kind: AttackClass, name: string, act: number, argument = 0): BinaryAttack => ({
  kind: 'binary',
  class: kind,
  name,
  binary: 'acts',
  act,
  argument,
  runtimes: ['wasm', 'native'],
})

const system = (kind: AttackClass, name: string, act: number, boundary?: 'process'): BinaryAttack => ({
  kind: 'binary',
  class: kind,
  name,
  binary: 'attacks',
  act,
  argument: 0,
  runtimes: ['native'],
  ...(boundary === undefined ? {} : { boundary }),
})

/** The numbers are those of acts.c. */
export const wasmAttacks: readonly BinaryAttack[] = [
  acts('verdict', 'a reject without a reason', 2),
  acts('escape', 'a reason outside of memory', 3),
  acts('escape', 'a reason without an end', 4),
  acts('denial', 'a trap', 5),
  acts('escape', 'reads outside of memory', 6, 2 ** 31),
  acts('denial', 'a division by zero', 7),
  acts('denial', 'recursion in C', 8),
  acts('escape', 'a call of nothing', 9),
  acts('escape', 'a call by another type', 10),
  acts('denial', 'a loop in C', 11),
  acts('pollution', 'writes all over its memory', 13),
  acts('denial', 'memory that grows', 14, 60_000),
  acts('verdict', 'a result that is no verdict', 16, 2 ** 31 - 1),
  acts('verdict', 'a reason that is long', 17),
  acts('verdict', 'a reason that is no UTF-8', 18),
  acts('escape', 'a log line outside of memory', 27),
  acts('denial', 'a trap in error_message', 21),
  acts('denial', 'a trap at shutdown', 22),
  acts('denial', 'a trap at destroy', 23),
  acts('denial', 'a loop at destroy', 24),
]

/** The numbers are those of attacks.c. */
export const nativeAttacks: readonly BinaryAttack[] = [
  system('escape', 'getenv', 1),
  system('escape', 'fopen to read', 2),
  system('escape', 'fopen to write', 3),
  system('escape', 'kill of the server', 4),
  system('escape', 'connect', 5),
  system('escape', 'system', 6),
  system('escape', 'the server’s memory by ptrace', 7),
  system('denial', 'a segmentation fault', 8),
  system('denial', 'abort', 9),
  system('denial', '_exit', 10),
  system('denial', 'malloc without end', 11),
  system('denial', 'fork without end', 12),
  system('denial', 'signals blocked, then a loop', 13),
  system('denial', 'a flood on every descriptor', 14, 'process'),
  system('denial', 'memory that counts as stack', 15, 'process'),
  system('denial', 'a main stack without end', 16, 'process'),
  system('denial', 'pipes as large as can be', 17, 'process'),
  system('denial', 'descriptors under way in sockets', 18, 'process'),
  system('denial', 'native threads without end', 19, 'process'),
  system('denial', 'addresses for the sake of page tables', 20, 'process'),
  system('denial', 'locks on files without end', 21, 'process'),
  system('denial', 'a thread that floods standard error', 22, 'process'),
  system('denial', 'a forged log frame, nested by the million', 23, 'process'),
  system('denial', 'a forged log frame, as large as it may be', 24, 'process'),
  system('denial', 'a forged load answer, nested by the thousand', 25, 'process'),
  system('verdict', 'a fatal error that is long', 26, 'process'),
  system('denial', 'memory that is shared', 27, 'process'),
]

const bombOf = (name: WasmBomb): BombAttack => ({ kind: 'bomb', class: 'denial', name, calls: 30 })

/** What bombs are measured beside. */
export const noBomb = bombOf(NO_BOMB)

export const bombs: readonly BombAttack[] = (Object.keys(WASM_BOMBS) as WasmBomb[])
  .filter((name) => name !== NO_BOMB)
  .map(bombOf)
