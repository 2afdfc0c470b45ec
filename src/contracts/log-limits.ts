/** How large log lines may be, for those who write them and for those who take them. Imports nothing: child processes may not. */

/** Of a batch as text. What a server's thread does for one at most is to parse so much and to log so many lines. */
export const MAX_BATCH_CHARS = 512 * 1024
export const MAX_BATCH_LINES = 256
export const MAX_MESSAGE_CHARS = 8192
export const MAX_FIELDS = 32
export const MAX_KEY_CHARS = 256
/** Of all fields of a line, as JSON. */
export const MAX_FIELDS_CHARS = 16 * 1024
/** Objects and arrays inside each other, in the value of a field. */
export const MAX_FIELD_DEPTH = 6

/** How deeply a plain value is nested, looked at no deeper than `most` and a level. */
export function depthOf(value: unknown, most: number): number {
  if (typeof value !== 'object' || value === null) return 0
  if (most < 0) return 1
  let deepest = 0
  for (const part of Object.values(value)) {
    const depth = depthOf(part, most - 1)
    if (depth > deepest) deepest = depth
    if (deepest > most) break
  }
  return deepest + 1
}
