/**
 * How large a replacement or an answer may be. For the engine, which gives every slot that room, and for tests that run a
 * plugin without one. Pure.
 */
import type { Hookpoint } from './contract.js'

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
