/** How deeply a JSON text is nested, seen before anything parses it. Pure. */

const QUOTE = 0x22
const BACKSLASH = 0x5c
/** Both opening brackets have this value once bit 5 is set, and both closing ones the next but one. */
const OPENING = 0x7b
const CLOSING = 0x7d

/** Whether objects and arrays stand more than `most` levels inside each other. Looks at the bytes; makes nothing. */
export function isDeeper(json: Uint8Array, most: number): boolean {
  let depth = 0
  let isText = false
  for (let at = 0; at < json.length; at += 1) {
    const byte = json[at] as number
    if (byte === QUOTE) isText = !isText
    else if (isText) {
      if (byte === BACKSLASH) at += 1
    } else if ((byte | 0x20) === OPENING) {
      depth += 1
      if (depth > most) return true
    } else if ((byte | 0x20) === CLOSING) depth -= 1
  }
  return false
}
