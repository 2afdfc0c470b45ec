/**
 * How long until an engine with one plugin serves, and what does a lane weigh?
 *
 * Topology: one fresh process per round, with one lane or with five, in turns. Baseline: none.
 * Figures: medians over rounds; memory per lane is a quarter of the difference in resident memory between five lanes and
 * one, each read half a second after the engine was ready. Resident memory counts pages shared between threads once.
 */

import { askOnce, drawPlot, median } from '../instruments.js'
import { type BenchCase, formatBytes, formatMs, machineLine, markdownTable, rounded } from '../report.js'
import type { StartupFigures } from '../subjects/startup-process.js'

const LANES = [1, 5] as const
const SCRIPT = new URL('../subjects/startup-process.js', import.meta.url)

export const startup: BenchCase = {
  answers: 'from nothing to the first verdict, and memory per lane',
  async run({ quick, progress }) {
    const rounds = quick ? 5 : 21
    progress.expect(rounds * LANES.length)
    const figures = new Map<number, StartupFigures[]>(LANES.map((lanes) => [lanes, []]))
    for (let round = 0; round < rounds; round++) {
      for (const workers of LANES) {
        progress.step(`round ${round + 1}/${rounds}, ${workers} lanes`)
        figures.get(workers)?.push(await askOnce<StartupFigures>(SCRIPT, { workers }, 30_000))
      }
    }
    const of = (lanes: number, key: keyof StartupFigures): number =>
      median((figures.get(lanes) ?? []).map((one) => one[key]))
    const rows = LANES.map((lanes) => ({
      lanes,
      importMs: of(lanes, 'importMs'),
      readyMs: of(lanes, 'readyMs'),
      firstVerdictMs: of(lanes, 'firstVerdictMs'),
      secondVerdictMs: of(lanes, 'secondVerdictMs'),
      closeMs: of(lanes, 'closeMs'),
      rssBytes: of(lanes, 'rssBytes'),
    }))
    const rssPerLaneBytes = (of(5, 'rssBytes') - of(1, 'rssBytes')) / 4
    const ms = ['importMs', 'readyMs', 'firstVerdictMs', 'secondVerdictMs', 'closeMs'] as const
    const NAMES = {
      importMs: 'import',
      readyMs: 'createHookEngine',
      firstVerdictMs: 'first verdict',
      secondVerdictMs: 'second verdict',
      closeMs: 'close',
    }
    return {
      isComplete: true,
      document: {
        case: 'startup',
        node: process.version,
        machine: machineLine(),
        quick,
        rows: rows.map((row) => ({ ...row, ...Object.fromEntries(ms.map((key) => [key, rounded(row[key])])) })),
        rssPerLaneBytes: Math.round(rssPerLaneBytes),
      },
      markdown: [
        '# startup: an engine with one plugin',
        '',
        `${machineLine()}. Medians over ${rounds} fresh processes each.`,
        '',
        markdownTable(
          ['lanes', ...ms.map((key) => NAMES[key]), 'resident memory'],
          rows.map((row) => [String(row.lanes), ...ms.map((key) => formatMs(row[key])), formatBytes(row.rssBytes)]),
        ),
        '',
        `Memory per lane: ${formatBytes(rssPerLaneBytes)}`,
      ].join('\n'),
      svg: drawPlot({
        title: 'An engine with one plugin, from nothing to its first verdict',
        subtitle: `${machineLine()}. Memory per lane: ${formatBytes(rssPerLaneBytes)}. Logarithmic axes.`,
        columns: 2,
        panels: rows.map((row) => ({
          kind: 'rows' as const,
          title: row.lanes === 1 ? 'One lane' : `${row.lanes} lanes`,
          format: formatMs,
          rows: ms.map((key) => ({
            label: NAMES[key],
            isEmphasised: key === 'readyMs',
            marks: [{ shape: 'value' as const, value: row[key] }],
          })),
        })),
      }),
    }
  },
}
