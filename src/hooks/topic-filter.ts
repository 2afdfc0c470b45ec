/**
 * MQTT topic filters (5.0, section 4.7): what they match, what they contain, where they overlap. Used by the shipped
 * plugins in their lanes; pure. A topic that begins with `$` is never matched by a leading wildcard.
 */

export type Levels = readonly string[]

/** A filter's levels; null: no valid filter. `$share/GROUP/FILTER` is read as its FILTER. */
export function parseFilter(filter: string): Levels | null {
  const all = filter.split('/')
  const levels = all[0] === '$share' && all.length > 2 ? all.slice(2) : all
  if (levels.length === 1 && levels[0] === '') return null
  const isValid = levels.every((level, index) => {
    if (level === '#') return index === levels.length - 1
    return level === '+' || !/[+#\0]/.test(level)
  })
  // One level or more is one level or more, written either way.
  return isValid ? (levels.length === 2 && levels[0] === '+' && levels[1] === '#' ? ['#'] : levels) : null
}

/** Whether the filter matches the topic. */
export function matchesTopic(filter: Levels, topic: string): boolean {
  return containsLevels(filter, topic.split('/'), true)
}

/** Whether every topic that `inner` matches is matched by `outer`. */
export function containsFilter(outer: Levels, inner: Levels): boolean {
  return containsLevels(outer, inner, false)
}

/** Whether some topic is matched by both. */
export function filtersOverlap(a: Levels, b: Levels): boolean {
  if ((isWildcard(a[0]) && isReserved(b[0])) || (isWildcard(b[0]) && isReserved(a[0]))) return false
  for (let index = 0; ; index += 1) {
    const [left, right] = [a[index], b[index]]
    if (left === '#' || right === '#') return true
    if (left === undefined || right === undefined) return left === right
    if (left !== right && left !== '+' && right !== '+') return false
  }
}

function containsLevels(outer: Levels, inner: Levels, isTopic: boolean): boolean {
  if (isWildcard(outer[0]) && isReserved(inner[0])) return false
  for (let index = 0; ; index += 1) {
    const [wide, narrow] = [outer[index], inner[index]]
    if (wide === '#') return true
    if (wide === undefined || narrow === undefined) return wide === narrow
    if (!isTopic && narrow === '#') return false
    if (wide !== '+' && wide !== narrow) return false
  }
}

function isWildcard(level: string | undefined): boolean {
  return level === '+' || level === '#'
}

function isReserved(level: string | undefined): boolean {
  return level?.startsWith('$') === true
}
