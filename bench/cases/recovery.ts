/**
 * What happens to the others when a plugin hangs for ever?
 *
 * Topology: one host thread, one lane and its booted spare; steady traffic, and again and again a marked call on which
 * the plugin loops for ever. hangMs is 0: the lane is replaced as soon as the marked call's deadline has passed. Calls
 * behind it have the same deadline; some may fail by it, which is counted and is no loss.
 * Figures: calls lost and calls run twice, from the plugin's own account of what it ran; and the time from the plugin's
 * entering the hook to the first verdict of the lane that follows, the marked call's whole deadline included.
 * One call lost, or one run twice, proves the design wrong.
 */

import { askOnce, drawPlot, median } from '../instruments.js'
import { type BenchCase, type Claim, claimsTable, formatMs, machineLine, markdownTable, rounded } from '../report.js'
import type { RecoveryFigures, RecoveryOptions } from '../subjects/recovery-process.js'

const MOST_OVER_DEADLINE_MS = 20
const BASE = { deadlineMs: 25, hangMs: 0, callsPerMs: 1 } as const
const QUICK: RecoveryOptions = { ...BASE, hangs: 200, pauseMs: 140 }
const FULL: RecoveryOptions = { ...BASE, hangs: 600, pauseMs: 250 }

export const recovery: BenchCase = {
  answers: 'at least 200 plugins that loop for ever, under traffic: what is lost, and for how long',
  async run({ quick, progress }) {
    const options = quick ? QUICK : FULL
    progress.expect(1)
    progress.step(`${options.hangs} hangs`)
    const expectedMs = options.hangs * (options.deadlineMs + options.pauseMs)
    const figures = await askOnce<RecoveryFigures>(
      new URL('../subjects/recovery-process.js', import.meta.url),
      options,
      3 * expectedMs + 30_000,
    )
    const { hangs, calls, lost, runTwice, marked, failures } = figures
    const sorted = [...figures.recoveriesMs].sort((a, b) => a - b)
    const at = (share: number): number =>
      sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN
    const p50Ms = median(sorted)
    const limitMs = options.deadlineMs + options.hangMs + MOST_OVER_DEADLINE_MS
    const claims: Claim[] = [
      { claim: `no call lost over ${hangs} hangs`, measured: `${lost} of ${calls}`, isHeld: lost === 0 },
      { claim: 'no call run twice', measured: `${runTwice} of ${calls}`, isHeld: runTwice === 0 },
      {
        claim: `serving again within the deadline of ${options.deadlineMs} ms plus ${MOST_OVER_DEADLINE_MS} ms at the median`,
        measured: formatMs(p50Ms),
        isHeld: Number.isNaN(p50Ms) ? undefined : p50Ms <= limitMs,
      },
    ]
    const percentiles = [
      ['median', p50Ms],
      ['90 %', at(0.9)],
      ['99 %', at(0.99)],
      ['worst', at(1)],
    ] as const
    return {
      isComplete: lost === 0 && runTwice === 0 && marked.continue === undefined && sorted.length === hangs,
      document: {
        case: 'recovery',
        node: process.version,
        machine: machineLine(),
        quick,
        hangs,
        lost,
        runTwice,
        p50Ms: rounded(p50Ms),
        p99Ms: rounded(at(0.99)),
        maxMs: rounded(at(1)),
        deadlineMs: options.deadlineMs,
        hangMs: options.hangMs,
        calls,
        recoveries: sorted.length,
        marked,
        failures,
        claims,
      },
      markdown: [
        '# recovery: a plugin that loops for ever, again and again',
        '',
        `${machineLine()}. ${hangs} hangs, ${calls} calls; deadline ${options.deadlineMs} ms, hangMs ${options.hangMs}.`,
        '',
        markdownTable(
          ['from the hang to serving again', 'time'],
          percentiles.map(([name, ms]) => [name, formatMs(ms)]),
        ),
        '',
        `Lost: ${lost}. Run twice: ${runTwice}. How the marked calls ended: ${countsText(marked)}. Failures of other calls: ${countsText(failures)}.`,
        '',
        '## Claims',
        '',
        claimsTable(claims),
      ].join('\n'),
      svg: drawPlot({
        title: 'From a hang to serving again',
        subtitle: `${machineLine()}. ${hangs} hangs under traffic, deadline ${options.deadlineMs} ms included. Logarithmic axis.`,
        columns: 1,
        panels: [
          {
            kind: 'rows',
            title: `Time to the first verdict of the next lane (lost: ${lost}, run twice: ${runTwice})`,
            format: formatMs,
            rows: percentiles.map(([label, value]) => ({
              label,
              isEmphasised: label === 'median',
              marks: [{ shape: 'value' as const, value }],
            })),
          },
        ],
      }),
    }
  },
}

function countsText(counts: Readonly<Record<string, number>>): string {
  return (
    Object.entries(counts)
      .map(([kind, count]) => `${count} ${kind}`)
      .join(', ') || 'none'
  )
}
