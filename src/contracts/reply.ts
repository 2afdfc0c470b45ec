/**
 * Replacements and answers on their way back: how large one may be, and what is said of one that its schema refuses. For
 * the engine, and for tests that run a plugin without one. Pure.
 */
import type { Checked } from './codec/refinements.js'
import type { Hookpoint } from './contract.js'
import { formatPath } from './errors.js'

/** Bytes, a multiple of 8: a replacement may be larger than its event by as much as an answer may be large. */
export function createReplyRoom(
  { kind, maxReplyBytes }: Pick<Hookpoint, 'kind' | 'maxReplyBytes'>,
  defaultReplyBytes: number,
): (eventBytes: number) => number {
  const paddedBytes = (maxReplyBytes ?? defaultReplyBytes) + 7
  switch (kind) {
    case 'transform':
      return (eventBytes) => (eventBytes + paddedBytes) & ~7
    case 'respond':
      return () => paddedBytes & ~7
    default:
      return () => 0
  }
}

/** What is said of a value that the layout can hold and the schema refuses. */
export function misfitMessage(
  what: 'replacement' | 'answer',
  { path, problem }: Extract<Checked, { ok: false }>,
): string {
  const where = formatPath(path.map((part) => (typeof part === 'number' ? part : String(part))))
  return `the ${what} does not fit: ${where === '' ? problem : `${where} ${problem}`}`
}
