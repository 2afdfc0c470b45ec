/** The program's output: tables for people, one JSON document for programs. Pure. */
import { FORBIDDEN } from './forbidden.js'
import type { JobResults } from './jobs.js'
import { MUTANTS } from './mutants.js'
import { SCENARIOS } from './scenarios.js'

export function formatDocument({ scenarios, mutants }: JobResults): string {
  return JSON.stringify({
    scenarios: scenarios.map(({ scenario, schedules, violations, bound, longest, found }) => ({
      name: scenario,
      schedules,
      violations,
      bound,
      steps: longest,
      ...(found === null ? {} : { kind: found.kind, scheduleId: found.scheduleId }),
    })),
    mutants: mutants.map(({ name, caught, schedules, found }) => ({
      name,
      caught,
      schedules,
      ...(found === null ? {} : { kind: found.kind, scheduleId: found.scheduleId }),
    })),
  })
}

export function formatTables({ scenarios, mutants }: JobResults, seconds: number): string {
  const lines: string[] = []
  if (scenarios.length > 0) {
    lines.push(
      ...table(
        ['scenario', 'schedules', 'preemptions', 'points', 'violations'],
        scenarios.map(({ scenario, schedules, bound, longest, violations }) => [
          scenario,
          String(schedules),
          bound < 0 ? '-' : `<= ${bound}`,
          `<= ${longest}`,
          String(violations),
        ]),
      ),
    )
    for (const { found } of scenarios) {
      if (found === null) continue
      lines.push('', `${found.kind}: ${FORBIDDEN[found.kind]}`, `  ${found.detail}`, `  --replay ${found.scheduleId}`)
    }
  }
  if (mutants.length > 0) {
    lines.push(
      '',
      ...table(
        ['mutant', 'schedules', 'caught as', 'by'],
        mutants.map(({ name, schedules, found }) => [
          name,
          String(schedules),
          found?.kind ?? 'NOT CAUGHT',
          found?.scheduleId ?? '',
        ]),
      ),
    )
  }
  const schedules = scenarios.reduce((sum, each) => sum + each.schedules, 0)
  const violations = scenarios.reduce((sum, each) => sum + each.violations, 0)
  const caught = mutants.filter((mutant) => mutant.caught).length
  lines.push('', `${schedules} schedules of ${scenarios.length} scenarios: ${violations} violations`)
  if (mutants.length > 0) lines.push(`${caught} of ${mutants.length} mutants caught`)
  lines.push(`${seconds.toFixed(0)} s`)
  return `${lines.join('\n')}\n`
}

export function formatList(): string {
  const lines = ['forbidden:', ...pairs(Object.entries(FORBIDDEN))]
  lines.push('', 'scenarios:', ...pairs(SCENARIOS.map(({ name, about }) => [name, about])))
  lines.push('', 'mutants:', ...pairs(MUTANTS.map(({ name, mistake }) => [name, mistake])))
  return `${lines.join('\n')}\n`
}

function pairs(entries: readonly (readonly [string, string])[]): string[] {
  return entries.map(([name, text]) => `  ${name.padEnd(26)}${text}`)
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => (row[column] ?? '').length)))
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) =>
        /^[\d<-]/.test(cell) ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd()
  return [line(head), ...rows.map(line)]
}
