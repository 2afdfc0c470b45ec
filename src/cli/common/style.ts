/**
 * Emphasis on a terminal, and none elsewhere: NO_COLOR and anything that is no terminal get plain text. Pure.
 */
export interface Style {
  bold(text: string): string
  dim(text: string): string
  good(text: string): string
  bad(text: string): string
}

export function styleFor(stream: { readonly isTTY?: boolean }, env: NodeJS.ProcessEnv = process.env): Style {
  const isPlain = stream.isTTY !== true || (env.NO_COLOR !== undefined && env.NO_COLOR !== '') || env.TERM === 'dumb'
  const wrap = (on: number, off: number) => (text: string) =>
    isPlain || text === '' ? text : `\u001b[${on}m${text}\u001b[${off}m`
  return { bold: wrap(1, 22), dim: wrap(2, 22), good: wrap(32, 39), bad: wrap(31, 39) }
}
