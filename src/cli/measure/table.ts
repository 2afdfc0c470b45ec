/** Tables of figures as text: Markdown for files, aligned columns for a terminal. Pure. */

export function markdownTable(headers: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = widthsOf([headers, ...rows])
  const line = (cells: readonly string[]): string =>
    `| ${widths.map((width, column) => align(cells[column] ?? '', width, column)).join(' | ')} |`
  const rule = `| ${widths.map((width, column) => (column === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`)).join(' | ')} |`
  return [line(headers), rule, ...rows.map(line)].join('\n')
}

function align(text: string, width: number, column: number): string {
  return column === 0 ? text.padEnd(width) : text.padStart(width)
}

/** Right-aligned, except for the first column and for words in the last one. Colours take no room. */
export function alignedTable(rows: readonly (readonly string[])[]): string {
  const widths = widthsOf(rows)
  const pad = (cell: string, at: number): string => {
    const room = ' '.repeat((widths[at] as number) - widthOf(cell))
    return at === 0 || (at === widths.length - 1 && rows[0]?.[at] === '') ? cell + room : room + cell
  }
  return rows.map((row) => `  ${row.map(pad).join('  ')}`.trimEnd()).join('\n')
}

function widthsOf(rows: readonly (readonly string[])[]): number[] {
  const count = Math.max(...rows.map((row) => row.length))
  return Array.from({ length: count }, (_, at) => Math.max(...rows.map((row) => widthOf(row[at] ?? ''))))
}

function widthOf(cell: string): number {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colours are control sequences
  return cell.replace(/\u001b\[\d+m/g, '').length
}
