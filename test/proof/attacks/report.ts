/** What a campaign came to, as a document, as text, and as findings. Pure. */
import { markdownTable } from '../../../bench/instruments.js'
import { type Campaign, MOST_BLOCKED_MS, type Row } from './campaign.js'
import { isGuaranteed } from './corpus.js'

export function documentOf({ rows, skipped }: Campaign) {
  return {
    rows: rows.map(({ why: _, loopBlockedMs, ...row }) => ({
      ...row,
      loopBlockedMs: loopBlockedMs === null ? null : Math.round(loopBlockedMs * 10) / 10,
    })),
    skipped: Object.fromEntries(skipped),
  }
}

/** What must not be, where containment is promised. */
export function findingsOf({ rows }: Campaign): string[] {
  return rows
    .filter(({ runtime, boundary }) => isGuaranteed(runtime, boundary))
    .flatMap((row) => {
      const at = `${row.runtime}, ${row.boundary}: ${row.attack}`
      if (row.outcome !== 'contained' && row.outcome !== 'refused') return [`${at}: ${row.outcome}: ${row.why}`]
      if (!row.servesAgain) return [`${at}: it does not serve again`]
      if ((row.loopBlockedMs ?? 0) > MOST_BLOCKED_MS)
        return [`${at}: the loop stood still for ${row.loopBlockedMs?.toFixed(1)} ms`]
      return []
    })
}

export function textOf(campaign: Campaign): string {
  const { rows, skipped } = campaign
  const findings = findingsOf(campaign)
  const table = markdownTable(
    ['runtime', 'boundary', 'class', 'attack', 'outcome', 'loop blocked', 'serves again'],
    rows.map((row) => [
      row.runtime,
      row.boundary,
      row.class,
      row.attack,
      row.outcome,
      row.loopBlockedMs === null ? '-' : `${row.loopBlockedMs.toFixed(1)} ms`,
      row.servesAgain ? 'yes' : 'no',
    ]),
  )
  const sections = [
    table,
    summary(rows),
    [...skipped].map(([combination, why]) => `not attacked: ${combination}: ${why}`).join('\n'),
    findings.length === 0
      ? 'Where containment is promised, nothing got through.'
      : `What got through where containment is promised:\n${findings.map((finding) => `- ${finding}`).join('\n')}`,
  ]
  return `${sections.filter((section) => section !== '').join('\n\n')}\n`
}

function summary(rows: readonly Row[]): string {
  const outcomes = [
    'contained',
    'refused',
    'escaped',
    'wrong-verdict',
    'wedged',
    'host-died',
    'too-much-memory',
  ] as const
  const combinations = [...new Set(rows.map(({ runtime, boundary }) => `${runtime}, ${boundary}`))]
  return markdownTable(
    ['runtime, boundary', 'attacks', ...outcomes, 'longest standstill'],
    combinations.map((combination) => {
      const own = rows.filter(({ runtime, boundary }) => `${runtime}, ${boundary}` === combination)
      const longest = Math.max(0, ...own.map(({ loopBlockedMs }) => loopBlockedMs ?? 0))
      return [
        combination,
        String(own.length),
        ...outcomes.map((outcome) => String(own.filter((row) => row.outcome === outcome).length)),
        `${longest.toFixed(1)} ms`,
      ]
    }),
  )
}
