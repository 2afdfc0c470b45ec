/** Turns what was seen of a plugin into findings. Pure. */
import type { Asked, Incident } from './ask.js'
import type { HookEvents } from './events.js'
import type { Hearing } from './hearing.js'
import type { ProbeEnd } from './probe.js'
import {
  type Finding,
  type FindingId,
  finding,
  GROWTH_BYTES_PER_EVENT,
  type PluginReport,
  SLOW_IMPORT_MS,
  SLOW_SETUP_MS,
  SLOW_SHARE,
} from './report.js'

const LOAD_STAGES = new Set(['boot', 'import', 'setup'])

/** What its life without events shows. */
export function judgeProbe(end: ProbeEnd, report: PluginReport, heard: Hearing): Finding[] {
  const findings: Finding[] = [...heard.unknownHooks]
  const { error, importMs, setupMs } = report
  if (end.how === 'hang' && LOAD_STAGES.has(end.stage)) {
    findings.push(finding('load-hangs', `${end.stage} did not come to an end`))
  } else if (end.how !== 'done' && LOAD_STAGES.has(end.stage)) {
    const how = end.how === 'memory' ? 'ran out of memory' : 'ended its thread'
    findings.push(finding('load-failed', `it ${how} during ${end.stage}`))
  } else if (error?.code === 'PLUGIN_CONFIG_INVALID') {
    findings.push(finding('config-invalid', error.message))
  } else if (error !== null && heard.unknownHooks.length === 0) {
    findings.push(finding('load-failed', error.message))
  }
  if (importMs !== null && importMs > SLOW_IMPORT_MS) {
    findings.push(finding('import-slow', `import took ${Math.round(importMs)} ms; more than ${SLOW_IMPORT_MS} is slow`))
  }
  if (setupMs !== null && setupMs > SLOW_SETUP_MS) {
    findings.push(finding('setup-slow', `setup took ${Math.round(setupMs)} ms; more than ${SLOW_SETUP_MS} is slow`))
  }
  if (setupMs !== null && report.hooks.length === 0) findings.push(finding('no-hooks', 'it subscribes to nothing'))
  if (end.isZombie) findings.push(finding('cannot-be-stopped', `its thread could not be ended during ${end.stage}`))
  findings.push(...judgeEnd(end, heard))
  return findings
}

function judgeEnd(end: ProbeEnd, { closed, uncaught }: Hearing): Finding[] {
  const findings: Finding[] = []
  if (end.how !== 'done' && end.stage === 'destroy') {
    findings.push(finding('destroy-fails', 'destroy did not come to an end'))
  }
  const { onShutdown, destroy } = closed?.failures ?? {}
  if (onShutdown !== undefined) findings.push(finding('shutdown-fails', onShutdown))
  if (destroy !== undefined) findings.push(finding('destroy-fails', destroy))
  if (closed !== null && closed.handles.length > 0) {
    findings.push(finding('leaves-handles', `still alive after destroy: ${closed.handles.join(', ')}`))
  }
  if (uncaught.length > 0) findings.push(finding('uncaught-error', firstOf(uncaught)))
  return findings
}

const BY_INCIDENT: Readonly<Record<Incident['kind'], FindingId>> = {
  error: 'throws',
  invalid: 'reply-invalid',
  timeout: 'times-out',
  blocked: 'blocks',
  crash: 'kills-lane',
}

/** What a server would have seen. */
export function judgeAsked(asked: Asked, events: readonly HookEvents[], timeoutMs: number): Finding[] {
  const findings: Finding[] = []
  const groups = new Map<string, Incident[]>()
  for (const incident of asked.incidents) {
    const key = `${incident.hookpoint} ${incident.kind}`
    groups.set(key, [...(groups.get(key) ?? []), incident])
  }
  for (const incidents of groups.values()) {
    const [first] = incidents as [Incident]
    const count = asked.hooks.find(({ hookpoint }) => hookpoint === first.hookpoint)?.events ?? 0
    // One in a hundred that went well when it was asked again: that is how busy machines are.
    if (incidents.every(({ isOnce }) => isOnce) && incidents.length <= Math.ceil(count / 100)) continue
    findings.push(
      finding(BY_INCIDENT[first.kind], messageOf(first, timeoutMs), {
        hookpoint: first.hookpoint,
        event: events.find(({ hookpoint }) => hookpoint === first.hookpoint)?.place(first.index),
        count: incidents.length,
      }),
    )
  }
  for (const { hookpoint, events: count, runUs } of asked.hooks) {
    const us = count >= 100 ? runUs.p99 : runUs.p50
    const isKnown = findings.some((each) => each.hookpoint === hookpoint && /^(?:times-out|blocks)$/.test(each.id))
    if (isKnown || us < timeoutMs * 1000 * SLOW_SHARE) continue
    const what = count >= 100 ? 'one run in a hundred' : 'half of the runs'
    findings.push(
      finding('slow', `${what} took ${(us / 1000).toFixed(1)} ms or more, of ${timeoutMs} ms that it has`, {
        hookpoint,
      }),
    )
  }
  if (asked.uncaught.length > 0) findings.push(finding('uncaught-error', firstOf(asked.uncaught)))
  if (asked.shutdownFailure !== null) findings.push(finding('shutdown-fails', asked.shutdownFailure))
  if (asked.destroyFailure !== null) findings.push(finding('destroy-fails', asked.destroyFailure))
  if (asked.hadZombie) {
    const blocked = asked.incidents.find(({ kind }) => kind === 'blocked')
    findings.push(
      finding('cannot-be-stopped', 'its thread was told to end, and has not', {
        hookpoint: blocked?.hookpoint,
        event: blocked && events.find(({ hookpoint }) => hookpoint === blocked.hookpoint)?.place(blocked.index),
      }),
    )
  }
  return findings
}

function messageOf({ kind, message }: Incident, timeoutMs: number): string {
  switch (kind) {
    case 'timeout':
      return `no verdict within ${timeoutMs} ms: ${message}`
    case 'blocked':
      return `it did not come back within ${timeoutMs} ms, nor after that: its lane was replaced`
    default:
      return message
  }
}

/** What was seen from close by, with events. */
export function judgeExercise(
  end: ProbeEnd,
  heard: Hearing,
  report: PluginReport,
  events: readonly HookEvents[],
): Finding[] {
  const findings: Finding[] = []
  for (const { hookpoint, bytesPerEvent, ignoredSignalMs, firstVerdict } of heard.exercised ?? []) {
    const kind = report.hooks.find((each) => each.hookpoint === hookpoint)?.kind
    const place = (index: number) => events.find((each) => each.hookpoint === hookpoint)?.place(index)
    if (bytesPerEvent !== null && bytesPerEvent >= GROWTH_BYTES_PER_EVENT) {
      const kept = `about ${Math.round(bytesPerEvent)} bytes stay behind for each event, and go on doing so`
      findings.push(finding('memory-grows', kept, { hookpoint }))
    }
    if (ignoredSignalMs !== null) {
      const pending = `its promise was still pending ${Math.round(ignoredSignalMs)} ms after ctx.signal had aborted`
      findings.push(finding('ignores-signal', pending, { hookpoint, event: place(0) }))
    }
    if (kind === 'observe' && firstVerdict !== null) {
      const odd = 'it returned a verdict, which nobody asks for at an observe hookpoint'
      findings.push(finding('reply-invalid', odd, { hookpoint, event: place(firstVerdict) }))
    }
  }
  const known = new Set(report.findings.map(({ id }) => id))
  return [...findings, ...judgeEnd(end, heard).filter(({ id }) => !known.has(id))]
}

function firstOf(messages: readonly string[]): string {
  const [first = ''] = messages
  const [line = ''] = first.split('\n')
  return messages.length === 1 ? line : `${line} (and ${messages.length - 1} more)`
}
