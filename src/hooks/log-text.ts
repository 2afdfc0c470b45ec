/**
 * Text from clients, made safe for a line of a log: nothing in it can start a new line, drive a terminal or reorder what
 * is shown. Used by the shipped plugins in their lanes; pure.
 */

/** Longest text that goes into a line, in characters: a name, not a payload. */
export const MAX_LOG_TEXT_CHARS = 256

// Control, format (bidirectional marks among them), surrogate and unassigned characters, line and paragraph separators.
const UNSAFE = /[\\\p{C}\p{Zl}\p{Zp}]/gu
const UNSAFE_OR_QUOTE = /[\\'\p{C}\p{Zl}\p{Zp}]/gu

/** Escapes what could forge a line, and cuts what is too long, saying how much is missing. */
export function escapeForLog(text: string, maxChars: number = MAX_LOG_TEXT_CHARS): string {
  return cut(text, maxChars, UNSAFE)
}

/** The same, in single quotes that the text cannot end. */
export function quoteForLog(text: string, maxChars: number = MAX_LOG_TEXT_CHARS): string {
  return `'${cut(text, maxChars, UNSAFE_OR_QUOTE)}'`
}

/** The first four bytes in hexadecimal: enough to follow a key through a log, too little to be one. */
export function hexPrefix(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.byteLength, 4)).toString('hex')
}

function cut(text: string, maxChars: number, unsafe: RegExp): string {
  if (text.length <= maxChars) return text.replace(unsafe, escapeCharacter)
  // A pair must not be cut in two, or its half would be escaped as something that nobody sent.
  const isPairAtCut = /[\uD800-\uDBFF]/.test(text[maxChars - 1] ?? '') && /[\uDC00-\uDFFF]/.test(text[maxChars] ?? '')
  const kept = text.slice(0, isPairAtCut ? maxChars - 1 : maxChars)
  return `${kept.replace(unsafe, escapeCharacter)}...(${text.length - kept.length} more)`
}

function escapeCharacter(character: string): string {
  switch (character) {
    case '\n':
      return '\\n'
    case '\r':
      return '\\r'
    case '\t':
      return '\\t'
    case '\\':
      return '\\\\'
    case "'":
      return "\\'"
    default:
      return `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`
  }
}
