export const WANTED_WORD: number
export const IN_FORCE_WORD: number
export const PUSHED_WORD: number
export const RUNG_WORD: number
export const TIMEOUT_WORD: number

export function createOrders(): Int32Array

export interface Random {
  /** From 0 up to 1. */
  next(): number
  /** A whole number from 0 up to `count`. */
  below(count: number): number
  chance(share: number): boolean
  pick<T>(list: readonly T[]): T
  /** Any 32 bits. */
  word(): number
}
export function createRandom(seed: number): Random
