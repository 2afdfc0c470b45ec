/** A check's report for people. Pure. */

import type { Style } from '../common/style.js'
import { formatBytes, formatMs, formatUs } from '../measure/format.js'
import { configLines } from './probe/config-schema.js'
import type { Confinement, EventPlace, Finding, HookReport, PluginReport } from './report.js'

export function textOf(reports: readonly PluginReport[], style: Style): string {
  return reports.map((report) => pluginText(report, style)).join('\n')
}

function pluginText(report: PluginReport, style: Style): string {
  const lines = [`${style.bold(report.name ?? '(no name)')}  ${style.dim(report.from)}`]
  const row = (label: string, texts: readonly string[]) => {
    for (const [index, text] of texts.entries()) lines.push(`  ${(index === 0 ? label : '').padEnd(10)}${text}`)
  }
  if (report.contract !== null) row('contract', [report.contract])
  if (report.confinement !== null) row('run', [confinementText(report.confinement)])
  if (report.hooks.length > 0) row('hooks', hookLines(report.hooks))
  if (report.setupMs !== null || report.config !== null) {
    row('config', report.config === null ? ['none'] : configLines(report.config))
  }
  const load = loadText(report)
  if (load !== '') row('loading', [load])
  if (report.error !== null) {
    lines.push(`  ${style.bad(`could not be loaded: ${report.error.code}`)}`)
    const { message } = report.error
    if (!report.findings.some((each) => each.message === message)) lines.push(`    ${message}`)
  }
  const { findings } = report
  if (!report.isComplete) lines.push(`  ${style.bad('not checked to the end')}`)
  else if (findings.length === 0 && report.isLoaded) lines.push(`  ${style.good('no findings')}`)
  for (const each of findings) lines.push(...findingLines(each, style))
  return `${lines.join('\n')}\n`
}

function confinementText({ trust, runtime, boundary }: Confinement): string {
  const parts = [trust && `as ${trust}`, runtime && `in ${runtime}`, boundary && `behind boundary ${boundary}`]
  return `${parts.filter(Boolean).join(', ')}, and in no other way`
}

function hookLines(hooks: readonly HookReport[]): string[] {
  const names = Math.max(...hooks.map(({ hookpoint }) => hookpoint.length))
  return hooks.flatMap((hook) => {
    const { hookpoint, kind, isAsync, events, verdicts, failures, runUs, bytesPerEvent, note } = hook
    const way = isAsync === null ? 'not seen whether async' : isAsync ? 'async' : 'sync'
    const counts = Object.entries({ ...verdicts, ...failures }).map(([what, count]) => `${count} ${what}`)
    const times = ['p50', 'p99', 'max'].map((key) => {
      const us = runUs[key as keyof typeof runUs]
      return `${key} ${us === null ? '-' : formatUs(us)}`
    })
    const growth = bytesPerEvent === null ? '' : `, ${formatBytes(Math.round(bytesPerEvent))} kept per event`
    const head = `${hookpoint.padEnd(names)}  ${kind}, ${way}`
    const body = events === 0 ? [] : [`${events} events: ${counts.join(', ')}`, `${times.join('  ')}${growth}`]
    return [head, ...[...body, ...(note === null ? [] : [note])].map((text) => `${' '.repeat(names)}  ${text}`)]
  })
}

function loadText({ importMs, setupMs, destroyMs, memory: { loadBytes } }: PluginReport): string {
  return [
    importMs === null ? '' : `import ${formatMs(importMs)}`,
    setupMs === null ? '' : `setup ${formatMs(setupMs)}`,
    destroyMs === null ? '' : `destroy ${formatMs(destroyMs)}`,
    loadBytes === null ? '' : `memory ${loadBytes < 65_536 ? 'under 64 KiB' : formatBytes(Math.round(loadBytes))}`,
  ]
    .filter((text) => text !== '')
    .join(', ')
}

function findingLines({ id, message, hookpoint, event, count, advice }: Finding, style: Style): string[] {
  const where = [hookpoint, event === undefined ? undefined : placeText(event)].filter((part) => part !== undefined)
  const times = count === undefined || count === 1 ? '' : ` (${count} events)`
  const head = `  ${style.bad(id)}${where.length === 0 ? '' : `  ${where.join(', ')}`}${times}`
  return [head, ...`${message}\n${advice}`.split('\n').map((line) => `    ${line}`)]
}

function placeText(place: EventPlace): string {
  return 'seed' in place ? `event ${place.index} of seed ${place.seed}` : `${place.file}:${place.line}`
}
