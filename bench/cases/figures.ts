/** How the figures of takeTurns go into rows, marks and notes; shared by the cases that use it. Pure. */

import { type Mark, turns } from '../instruments.js'
import type { RoundFigures } from '../measure.js'
import { rounded } from '../report.js'
import type { SeatResult } from '../turns.js'

export function roundedFigures(figures: RoundFigures): Record<keyof RoundFigures, number | null> {
  return {
    eventsPerSecond: rounded(figures.eventsPerSecond),
    p50Us: rounded(figures.p50Us),
    p99Us: rounded(figures.p99Us),
    p999Us: rounded(figures.p999Us),
    hostBusyUsPerEvent: rounded(figures.hostBusyUsPerEvent),
    cpuUsPerEvent: rounded(figures.cpuUsPerEvent),
  }
}

export function latencyMarks(figures: Pick<RoundFigures, 'p50Us' | 'p99Us' | 'p999Us'> | undefined): Mark[] {
  if (figures === undefined) return []
  return [
    { shape: 'p50', value: figures.p50Us },
    { shape: 'p99', value: figures.p99Us },
    { shape: 'p999', value: figures.p999Us },
  ]
}

/** Whether every subject was measured, and gave every verdict as it should. */
export function isSound(results: readonly SeatResult[]): boolean {
  return results.every((result) => result.figures !== undefined && result.wrong === 0 && result.failed === 0)
}

/** One line for each subject and level that was not sound, and one for what was measured again. */
export function notesOf(results: readonly SeatResult[]): string[] {
  const retaken = turns.retakenText(results.reduce((sum, result) => sum + result.retaken, 0))
  return [...failuresOf(results), ...(retaken === undefined ? [] : [retaken])]
}

function failuresOf(results: readonly SeatResult[]): string[] {
  return results.flatMap(({ name, inFlight, note, wrong, failed, figures }) => {
    const at = `${name}, ${inFlight} in flight`
    const why = note === undefined ? '' : ` (${note})`
    if (figures === undefined) return [`${at}: not measured${why}`]
    return wrong + failed > 0 ? [`${at}: ${wrong} wrong verdicts, ${failed} failed calls${why}`] : []
  })
}

/** What subjects say of themselves, one line each. */
export function remarksOf(results: readonly SeatResult[]): string[] {
  return results.flatMap(({ name, inFlight, note, wrong, failed, figures }) =>
    note === undefined || figures === undefined || wrong + failed > 0
      ? []
      : [`${name}, ${inFlight} in flight: ${note}`],
  )
}
