/**
 * Looks at the shape of a body before anybody decodes it: MessagePack names the sizes of its arrays and maps ahead, and a
 * decoder that believes them reserves gigabytes for a message of a kilobyte. Pure; on the side that takes a body from
 * another, for each one.
 */

/** As deep as events may be nested, and shallow enough for everyone's recursion. */
export const MAX_BODY_DEPTH = 128

/** What is wrong with bytes that should be one MessagePack value; null: nothing. */
export function msgpackProblem(bytes: Uint8Array): string | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const end = bytes.byteLength
  // Values that are still to come, by level: a map's keys and values count one each.
  const left: number[] = [1]
  let awaited = 1
  let at = 0
  while (left.length > 0) {
    const level = left.length - 1
    if (left[level] === 0) {
      left.pop()
      continue
    }
    left[level]! -= 1
    awaited -= 1
    if (at >= end) return 'is cut off'
    const head = bytes[at] as number
    at += 1
    let skipped = 0
    let items = -1
    if (head <= 0x7f || head >= 0xe0) skipped = 0
    else if (head <= 0x8f) items = (head & 0x0f) * 2
    else if (head <= 0x9f) items = head & 0x0f
    else if (head <= 0xbf) skipped = head & 0x1f
    else {
      const form = FORMS[head - 0xc0] as Form
      if (form.kind === 'never') return `has the byte 0x${head.toString(16)}, which begins nothing`
      if (end - at < form.sizeBytes) return 'is cut off'
      const size = form.sizeBytes === 0 ? 0 : readSize(view, at, form.sizeBytes)
      at += form.sizeBytes
      if (form.kind === 'fixed') skipped = form.bytes
      else if (form.kind === 'sized') skipped = size + form.bytes
      else items = form.kind === 'map' ? size * 2 : size
    }
    if (skipped > end - at) return 'is cut off'
    at += skipped
    if (items <= 0) continue
    awaited += items
    // Each value takes a byte at least: one that promises more than there can be is never looked into.
    if (awaited > end - at) return 'is cut off'
    if (left.length > MAX_BODY_DEPTH) return `is nested deeper than ${MAX_BODY_DEPTH} levels`
    left.push(items)
  }
  return at === end ? null : `has ${end - at} bytes behind its end`
}

/** Whether JSON text is nested deeper than bodies may be. */
export function isJsonTooDeep(text: string): boolean {
  let depth = 0
  let isInString = false
  for (let i = 0; i < text.length; i += 1) {
    const char = text.charCodeAt(i)
    if (isInString) {
      if (char === BACKSLASH) i += 1
      else if (char === QUOTE) isInString = false
    } else if (char === QUOTE) isInString = true
    else if (char === OPEN_BRACKET || char === OPEN_BRACE) {
      depth += 1
      if (depth > MAX_BODY_DEPTH) return true
    } else if (char === CLOSE_BRACKET || char === CLOSE_BRACE) depth -= 1
  }
  return false
}

interface Form {
  readonly kind: 'never' | 'fixed' | 'sized' | 'array' | 'map'
  /** Of the size that follows the head. */
  readonly sizeBytes: 0 | 1 | 2 | 4
  /** That follow whatever the size says. */
  readonly bytes: number
}

const fixed = (bytes: number): Form => ({ kind: 'fixed', sizeBytes: 0, bytes })
const sized = (sizeBytes: 1 | 2 | 4, bytes = 0): Form => ({ kind: 'sized', sizeBytes, bytes })

/** The forms whose heads are 0xc0 to 0xdf, in their order. */
const FORMS: readonly Form[] = [
  ...[fixed(0), { kind: 'never', sizeBytes: 0, bytes: 0 } as const, fixed(0), fixed(0)],
  // bin 8, 16, 32; ext 8, 16, 32, with a type byte
  ...[sized(1), sized(2), sized(4), sized(1, 1), sized(2, 1), sized(4, 1)],
  // float 32, 64; uint 8, 16, 32, 64; int 8, 16, 32, 64
  ...[fixed(4), fixed(8), fixed(1), fixed(2), fixed(4), fixed(8), fixed(1), fixed(2), fixed(4), fixed(8)],
  // fixext 1, 2, 4, 8, 16, with a type byte
  ...[fixed(2), fixed(3), fixed(5), fixed(9), fixed(17)],
  // str 8, 16, 32
  ...[sized(1), sized(2), sized(4)],
  { kind: 'array', sizeBytes: 2, bytes: 0 },
  { kind: 'array', sizeBytes: 4, bytes: 0 },
  { kind: 'map', sizeBytes: 2, bytes: 0 },
  { kind: 'map', sizeBytes: 4, bytes: 0 },
]

function readSize(view: DataView, at: number, sizeBytes: 1 | 2 | 4): number {
  if (sizeBytes === 1) return view.getUint8(at)
  return sizeBytes === 2 ? view.getUint16(at) : view.getUint32(at)
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const OPEN_BRACKET = 0x5b
const CLOSE_BRACKET = 0x5d
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d
