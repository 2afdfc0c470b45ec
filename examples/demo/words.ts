/** How the demo writes figures and breaks lines. Pure; used by the table and the paragraphs. */

/** Milliseconds in five characters at most, for a column whose head says the unit. */
export function cellMs(us: number): string {
  if (!Number.isFinite(us)) return '-'
  const ms = us / 1000
  if (ms >= 99.95) return ms.toFixed(0)
  return ms >= 9.995 ? ms.toFixed(1) : ms.toFixed(2)
}

/** `1 call`, `2 calls`, `no calls`. */
export function countOf(count: number, noun: string): string {
  return `${count === 0 ? 'no' : count} ${noun}${count === 1 ? '' : 's'}`
}

/** `a`, `a and b`, `a, b and c`. */
export function listOf(parts: readonly string[]): string {
  return parts.length < 2 ? parts.join('') : `${parts.slice(0, -1).join(', ')} and ${parts.at(-1)}`
}

/** Breaks text into lines of at most `width` characters, at spaces; lines after the first are indented. */
export function wrapText(text: string, width: number, indent = 0): string {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    const longer = line === '' ? word : `${line} ${word}`
    if (line.trim() !== '' && longer.length > width) {
      lines.push(line)
      line = ' '.repeat(indent) + word
    } else {
      line = longer
    }
  }
  return [...lines, line].join('\n')
}
