/**
 * What does an open engine cost while nobody calls it?
 *
 * Topology: one process per way of waiting, and one without an engine; each was used for a moment and then rests, all at
 * the same time. Figure: CPU time of the whole process, in milliseconds per second. More than the process without an
 * engine, by more than noise, would prove that something polls.
 */
import { askOnce, drawPlot } from '../instruments.js'
import { type BenchCase, machineLine, markdownTable, rounded, significant } from '../report.js'
import type { IdleOptions } from '../subjects/idle-process.js'

const WAITS = ['no engine', 'adaptive', 'park', 'spin'] as const satisfies readonly IdleOptions['wait'][]
const SCRIPT = new URL('../subjects/idle-process.js', import.meta.url)

export const idle: BenchCase = {
  answers: 'CPU time of a process with an engine open and nothing to do',
  async run({ quick, progress }) {
    const seconds = quick ? 5 : 20
    progress.expect(1)
    progress.step(`resting for ${seconds} s`)
    const rows = await Promise.all(
      WAITS.map(async (wait) => ({
        wait,
        cpuMsPerSecond: await askOnce<number>(SCRIPT, { wait, seconds } satisfies IdleOptions, 30_000 + seconds * 1000),
      })),
    )
    const format = (ms: number): string => `${significant(ms)} ms/s`
    return {
      isComplete: true,
      document: {
        case: 'idle',
        node: process.version,
        machine: machineLine(),
        quick,
        seconds,
        rows: rows.map(({ wait, cpuMsPerSecond }) => ({ wait, cpuMsPerSecond: rounded(cpuMsPerSecond) })),
      },
      markdown: [
        '# idle: an open engine and nothing to do',
        '',
        `${machineLine()}. CPU time of the whole process over ${seconds} s; 1 ms/s is a thousandth of one CPU.`,
        '',
        markdownTable(
          ['wait', 'CPU'],
          rows.map(({ wait, cpuMsPerSecond }) => [wait, format(cpuMsPerSecond)]),
        ),
      ].join('\n'),
      svg: drawPlot({
        title: 'An open engine and nothing to do',
        subtitle: `${machineLine()}. CPU time per second over ${seconds} s; logarithmic axis.`,
        columns: 1,
        panels: [
          {
            kind: 'rows',
            title: 'CPU time per second (less is better)',
            format,
            rows: rows.map(({ wait, cpuMsPerSecond }) => ({
              label: wait,
              isEmphasised: wait === 'adaptive',
              marks: [{ shape: 'value', value: cpuMsPerSecond }],
            })),
          },
        ],
      }),
    }
  },
}
