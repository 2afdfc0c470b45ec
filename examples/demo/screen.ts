/**
 * Where the demo tells its story while it goes on: a table that is drawn over in place where the terminal allows it, a
 * line for each slice where it does not. Called by main.ts.
 */
import { styleText } from 'node:util'
import type { ModeName } from '../../bench/rpc/modes.js'
import { type Row, rowOf, rowsOf, type ToldSlice } from './rows.js'
import { LEAST_TABLE_WIDTH, type Paint, type Style, sliceLine, tableHeight, tableLines } from './table.js'
import { wrapText } from './words.js'

export interface Screen {
  paragraph(text: string): void
  /** Called again and again: with all slices so far, and what is going on. */
  show(slices: readonly ToldSlice[], status: string): void
  /** The last word on the figures. Idempotent. */
  finish(): void
}

const PARAGRAPH_WIDTH = 100
const FORMATS = {
  head: ['bold'],
  strong: ['bold'],
  faint: ['dim'],
  good: ['green'],
  bad: ['red'],
} as const satisfies Record<Style, readonly string[]>

export function createScreen(stream: NodeJS.WriteStream, modes: readonly ModeName[]): Screen {
  const paint = painter(stream)
  const height = tableHeight(modes)
  let slices: readonly ToldSlice[] = []
  let linesDrawn = 0
  let linesTold = 0
  let isFinished = false

  const width = (): number => (stream.isTTY ? (stream.columns || 80) - 1 : PARAGRAPH_WIDTH)
  const isLive = (): boolean =>
    stream.isTTY === true &&
    process.env.TERM !== 'dumb' &&
    width() >= LEAST_TABLE_WIDTH &&
    // The status line below the table, and the line that the cursor stands on.
    (stream.rows || 24) >= height + 2
  const table = (): string[] => tableLines(rowsOf(slices, modes), { modes, width: width(), paint })

  const draw = (lines: readonly string[]): void => {
    const back = linesDrawn === 0 ? '' : `\u001b[${linesDrawn}A`
    stream.write(`\r${back}${lines.map((line) => `${line}\u001b[K\n`).join('')}\u001b[J`)
    linesDrawn = lines.length
  }
  const tellNew = (): void => {
    const rows = rowsOf(slices, modes)
    for (const slice of slices.slice(linesTold)) {
      stream.write(`${wrapText(sliceLine(rows, rowOf([slice]) as Row), wrapWidth(), 8)}\n`)
    }
    linesTold = slices.length
  }
  // A pipe or a file has no width; its reader breaks the lines.
  const wrapWidth = (): number => (stream.isTTY ? width() : Number.POSITIVE_INFINITY)

  // What was drawn has been broken anew: there is no telling where it begins.
  const onResize = (): void => {
    linesDrawn = 0
  }
  if (stream.isTTY) stream.on('resize', onResize)

  return {
    paragraph(text) {
      stream.write(`${wrapText(text, Math.min(width(), PARAGRAPH_WIDTH))}\n\n`)
    },
    show(sofar, status) {
      slices = sofar
      if (isLive()) {
        draw([...table(), paint('faint', status.slice(0, width()))])
        linesTold = slices.length
      } else {
        tellNew()
      }
    },
    finish() {
      if (isFinished) return
      isFinished = true
      stream.off('resize', onResize)
      if (slices.length === 0 && linesDrawn === 0) return
      if (isLive()) {
        draw(table())
        stream.write('\n')
      } else if (width() >= LEAST_TABLE_WIDTH) {
        stream.write(`\n${table().join('\n')}\n\n`)
      } else {
        stream.write('\n')
      }
    },
  }
}

/** Colours only where the terminal has some and nobody asked for none (NO_COLOR). */
function painter(stream: NodeJS.WriteStream): Paint {
  if (stream.isTTY !== true || process.env.NO_COLOR || !stream.hasColors()) return (_style, text) => text
  return (style, text) => styleText([...FORMATS[style]], text, { validateStream: false })
}
