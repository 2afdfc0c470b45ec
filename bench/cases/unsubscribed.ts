/**
 * What does a hookpoint cost that no plugin subscribes to?
 *
 * Topology: one process, one thread; an engine whose only plugin subscribes elsewhere. Baseline: a plain async function.
 * Figures: nanoseconds per awaited call, medians over rounds in turns. More than five times the baseline proves the
 * promise wrong that hookpoints may be strewn freely.
 */
import { askOnce, drawPlot } from '../instruments.js'
import {
  type BenchCase,
  type Claim,
  claimsTable,
  formatTimes,
  formatUs,
  machineLine,
  markdownTable,
  rounded,
} from '../report.js'
import type { UnsubscribedFigures, UnsubscribedOptions } from '../subjects/unsubscribed-process.js'

const MOST_TIMES = 5

export const unsubscribed: BenchCase = {
  answers: 'a call to a hookpoint without subscribers, next to a plain async function',
  async run({ quick, progress }) {
    const options: UnsubscribedOptions = { rounds: quick ? 9 : 31, callsPerRound: quick ? 300_000 : 1_000_000 }
    progress.expect(1)
    progress.step('calling')
    const { inlineNs, unsubscribedNs } = await askOnce<UnsubscribedFigures>(
      new URL('../subjects/unsubscribed-process.js', import.meta.url),
      options,
      120_000,
    )
    const ratio = unsubscribedNs / inlineNs
    const claims: Claim[] = [
      {
        claim: `at most ${MOST_TIMES} times a plain async function call`,
        measured: formatTimes(ratio),
        isHeld: ratio <= MOST_TIMES,
      },
    ]
    const rows = [
      { name: 'async function', ns: inlineNs },
      { name: 'unsubscribed', ns: unsubscribedNs },
    ]
    return {
      isComplete: true,
      document: {
        case: 'unsubscribed',
        node: process.version,
        machine: machineLine(),
        quick,
        inlineNs: rounded(inlineNs),
        unsubscribedNs: rounded(unsubscribedNs),
        ratio: rounded(ratio),
        claims,
      },
      markdown: [
        '# unsubscribed: a hookpoint that no plugin subscribes to',
        '',
        `${machineLine()}. Medians over ${options.rounds} rounds of ${options.callsPerRound} awaited calls, in turns.`,
        '',
        markdownTable(
          ['call', 'time'],
          rows.map(({ name, ns }) => [name, formatUs(ns / 1000)]),
        ),
        '',
        claimsTable(claims),
      ].join('\n'),
      svg: drawPlot({
        title: 'A hookpoint that no plugin subscribes to',
        subtitle: `${machineLine()}. Logarithmic axis.`,
        columns: 1,
        panels: [
          {
            kind: 'rows',
            title: 'Time per awaited call (less is better)',
            format: (ns) => formatUs(ns / 1000),
            rows: rows.map(({ name, ns }) => ({
              label: name,
              isEmphasised: name === 'unsubscribed',
              marks: [{ shape: 'value', value: ns }],
            })),
          },
        ],
      }),
    }
  },
}
