/**
 * Replacements and answers: how large they may be, and the message for one that its schema refuses. For the engine, and
 * for tests that run a plugin without one. Pure.
 */
import type { Checked } from './codec/refinements.js'
import type { Hookpoint } from './contract.js'
import { formatPath } from './errors.js'

/** Bytes of a reply area: an answer has up to `maxReplyBytes`, a replacement that many more than its event. A multiple of 8. */
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

/** The message for a value that fits the layout but not the schema. */
export function misfitMessage(
  what: 'replacement' | 'answer',
  { path, problem }: Extract<Checked, { ok: false }>,
): string {
  const where = formatPath(path.map((part) => (typeof part === 'number' ? part : String(part))))
  return `the ${what} does not fit: ${where === '' ? problem : `${where} ${problem}`}`
}
