/** What is fuzzed: a way to make inputs, and what must hold of each. */
import type fc from 'fast-check'

export interface Target<Case = unknown> {
  readonly name: string
  readonly group: 'decoders' | 'borders'
  /** Of all inputs, how many are this target's, in parts. */
  readonly share: number
  readonly cases: fc.Arbitrary<Case>
  /** Throws when something is wrong; counts each input that it has tried. */
  check(given: Case, tally: TargetTally): void | Promise<void>
  /** What was opened for the target. */
  close?(): Promise<void>
}

export interface TargetTally {
  inputs: number
  /** Inputs that were taken, and inputs that were refused as they should be. */
  taken: number
  /** By code. */
  readonly refused: Record<string, number>
  slowestMs: number
}

export const newTally = (): TargetTally => ({ inputs: 0, taken: 0, refused: {}, slowestMs: 0 })

/** Runs one input and counts it. @returns what came out, or the coded error; anything else is thrown on. */
export function tryInput<T>(tally: TargetTally, run: () => T): { value: T } | { refusal: CodedError } {
  const began = performance.now()
  try {
    const value = run()
    tally.taken += 1
    return { value }
  } catch (error) {
    return { refusal: countRefusal(tally, error) }
  } finally {
    tally.inputs += 1
    tally.slowestMs = Math.max(tally.slowestMs, performance.now() - began)
  }
}

/** The same for what comes later. */
export async function tryLater<T>(
  tally: TargetTally,
  run: () => Promise<T>,
): Promise<{ value: T } | { refusal: CodedError }> {
  const began = performance.now()
  // A function that ought to reject and throws is found out by the one who calls it.
  const promise = run()
  try {
    const value = await promise
    tally.taken += 1
    return { value }
  } catch (error) {
    return { refusal: countRefusal(tally, error) }
  } finally {
    tally.inputs += 1
    tally.slowestMs = Math.max(tally.slowestMs, performance.now() - began)
  }
}

export type CodedError = Error & { readonly code: string }

function countRefusal(tally: TargetTally, error: unknown): CodedError {
  if (!isCoded(error)) throw new Uncoded(error)
  tally.refused[error.code] = (tally.refused[error.code] ?? 0) + 1
  return error
}

/** Found: something that is no HookringError came out. */
class Uncoded extends Error {
  constructor(thrown: unknown) {
    super(`threw ${describe(thrown)}`, { cause: thrown })
    this.name = 'Uncoded'
  }
}

function isCoded(error: unknown): error is CodedError {
  const { name, code, message } = (error instanceof Error ? error : {}) as Partial<CodedError>
  return name === 'HookringError' && typeof code === 'string' && typeof message === 'string' && message !== ''
}

function describe(thrown: unknown): string {
  try {
    return thrown instanceof Error ? (thrown.stack ?? String(thrown)) : `no error: ${String(thrown)}`
  } catch {
    return 'what has no text'
  }
}
