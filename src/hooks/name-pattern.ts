/**
 * Patterns of client ids and user names: `*` stands for any text, anywhere, as often as wanted; `\*` is a star and `\\` a
 * backslash. Pure. Takes time in proportion to the name, whatever the pattern: names come from strangers.
 */
export type NamePattern = (name: string) => boolean

/** @param pattern empty: any name. */
export function compileNamePattern(pattern: string): NamePattern {
  if (pattern === '') return () => true
  const [first, ...rest] = textsOf(pattern)
  const last = rest.pop()
  if (first === undefined || last === undefined) return (name) => name === first
  return (name) => {
    if (name.length < first.length + last.length || !name.startsWith(first) || !name.endsWith(last)) return false
    const end = name.length - last.length
    let at = first.length
    for (const text of rest) {
      const found = name.indexOf(text, at)
      if (found === -1 || found + text.length > end) return false
      at = found + text.length
    }
    return true
  }
}

/** What stands between the stars. */
function textsOf(pattern: string): string[] {
  const texts = ['']
  for (let at = 0; at < pattern.length; at += 1) {
    const character = pattern[at] as string
    if (character === '*') texts.push('')
    else {
      const next = pattern[at + 1]
      const isEscaped = character === '\\' && (next === '*' || next === '\\')
      if (isEscaped) at += 1
      texts[texts.length - 1] += isEscaped ? next : character
    }
  }
  return texts
}
