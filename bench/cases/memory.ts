/**
 * Does memory stay flat?
 *
 * Topology: one process with one engine; ten million calls in ten portions, then five hundred reloads in ten, and memory
 * sampled after each, after full collections. Baseline: the sample after the first portion of each kind, when everything
 * has been used once. Growth that goes on from portion to portion would prove a leak.
 */
import { drawPlot, startProcess } from '../instruments.js'
import { type BenchCase, machineLine, markdownTable, rounded, significant } from '../report.js'
import type { MemoryRequest, MemorySample } from '../subjects/memory-process.js'

interface Row extends MemorySample {
  readonly after: string
  readonly calls: number
  readonly reloads: number
}

const SCRIPT = new URL('../subjects/memory-process.js', import.meta.url)
const PORTIONS = 10
const IN_FLIGHT = 512
const PORTION_TIMEOUT_MS = 120_000

export const memory: BenchCase = {
  answers: 'memory over ten million calls and five hundred reloads',
  async run({ quick, progress }) {
    const calls = (quick ? 3_000_000 : 10_000_000) / PORTIONS
    const reloads = (quick ? 50 : 500) / PORTIONS
    progress.expect(2 * PORTIONS)
    const rows: Row[] = []
    const subject = startProcess(SCRIPT, ['--expose-gc'])
    const ask = (request: MemoryRequest) => subject.ask<MemorySample>(request, PORTION_TIMEOUT_MS)
    try {
      for (let portion = 1; portion <= PORTIONS; portion += 1) {
        progress.step(`calls ${portion}/${PORTIONS}`)
        const sample = await ask({ kind: 'calls', count: calls, inFlight: IN_FLIGHT })
        rows.push({ after: 'calls', calls: portion * calls, reloads: 0, ...sample })
      }
      for (let portion = 1; portion <= PORTIONS; portion += 1) {
        progress.step(`reloads ${portion}/${PORTIONS}`)
        const sample = await ask({ kind: 'reloads', count: reloads })
        rows.push({ after: 'reloads', calls: PORTIONS * calls, reloads: portion * reloads, ...sample })
      }
      rows.push({
        after: 'close',
        calls: PORTIONS * calls,
        reloads: PORTIONS * reloads,
        ...(await ask({ kind: 'close' })),
      })
    } finally {
      await subject.end()
    }
    const format = (mb: number): string => `${significant(mb)} MiB`
    return {
      isComplete: true,
      document: {
        case: 'memory',
        node: process.version,
        machine: machineLine(),
        quick,
        rows: rows.map((row) => ({
          ...row,
          rssMb: rounded(row.rssMb),
          heapMb: rounded(row.heapMb),
          buffersMb: rounded(row.buffersMb),
        })),
      },
      markdown: [
        '# memory: calls and reloads without end',
        '',
        `${machineLine()}. One process, ${IN_FLIGHT} calls in flight; sampled after full collections.`,
        '',
        markdownTable(
          ['calls', 'reloads', 'RSS', 'heap', 'buffers'],
          rows.map((row) => [
            row.calls.toLocaleString('en'),
            row.after === 'close' ? `${row.reloads}, then closed` : String(row.reloads),
            format(row.rssMb),
            format(row.heapMb),
            format(row.buffersMb),
          ]),
        ),
      ].join('\n'),
      svg: drawPlot({
        title: 'Memory over calls and reloads',
        subtitle: `${machineLine()}. After full collections; logarithmic axis.`,
        columns: 1,
        panels: [
          {
            kind: 'rows',
            title: 'RSS and heap',
            format,
            rows: rows.map((row) => ({
              label:
                row.after === 'calls'
                  ? `${row.calls / 1e6} M calls`
                  : row.after === 'reloads'
                    ? `${row.reloads} reloads`
                    : 'closed',
              isEmphasised: row.after === 'close',
              marks: [
                { shape: 'value', value: row.rssMb },
                { shape: 'value', value: row.heapMb },
              ],
            })),
          },
        ],
      }),
    }
  },
}
