/**
 * Checks one plugin, in a process of its own (run.ts starts it): whatever the plugin does, the command lives to tell. What
 * is known is sent as soon as it is known; the process may be killed at any time.
 */
import { createPluginSources } from '../../host/sources/locate.js'
import type { PluginOptions } from '../../index.js'
import { findContract } from '../common/contracts.js'
import { type Asked, askInEngine } from './ask.js'
import { eventsFor, type HookEvents } from './events.js'
import { Hearing, hookReport } from './hearing.js'
import { judgeAsked, judgeExercise, judgeProbe } from './judge.js'
import type { ProbeTask } from './probe/probe-protocol.js'
import { runProbe } from './probe.js'
import { type CheckQuestion, emptyReport, finding, type PluginReport } from './report.js'

export type CheckSays =
  | { readonly kind: 'stage'; readonly stage: string }
  | { readonly kind: 'report'; readonly report: PluginReport }
  /** The last one: the process may be ended now. */
  | { readonly kind: 'done' }

const send = (said: CheckSays) =>
  new Promise<void>((resolve) =>
    (process.send as NonNullable<typeof process.send>)(said, undefined, {}, () => resolve()),
  )

process.once('message', (question: CheckQuestion) => {
  void check(question).then(async (report) => {
    await send({ kind: 'report', report })
    await send({ kind: 'done' })
  })
})
// The command has gone.
process.once('disconnect', () => process.kill(process.pid, 'SIGKILL'))

async function check(question: CheckQuestion): Promise<PluginReport> {
  const report = emptyReport(question)
  const sources = createPluginSources()
  try {
    await send({ kind: 'stage', stage: 'loading' })
    if (question.confinement === null) await checkAt(await sources.locate(question.from), question, report)
    else await checkConfined(question, report)
  } catch (error) {
    const { code, message } = error as { code?: unknown; message: string }
    report.isLoaded = false
    report.error ??= { code: typeof code === 'string' ? code : 'CHECK_FAILED', message }
  } finally {
    await sources.close()
  }
  report.isComplete = true
  return report
}

async function checkAt(url: string, question: CheckQuestion, report: PluginReport): Promise<void> {
  const task: ProbeTask = {
    url,
    name: undefined,
    config: question.config,
    contract: question.contract,
    timeoutMs: question.timeoutMs,
    setupTimeoutMs: question.setupTimeoutMs,
    events: null,
    usualMs: {},
  }
  const name = await lookAt(task, report)
  await send({ kind: 'report', report })
  if (!report.isLoaded) return

  const contract = await findContract(question.contract ?? report.contract ?? undefined, url).catch((error) => {
    // A contract of the user's own, which the plugin knows.
    if (question.contract !== undefined) throw error
    return findContract(undefined, url)
  })
  const hookpoints = report.hooks.map(({ hookpoint }) => hookpoint)
  const events = await eventsFor(contract, hookpoints, question)
  const asked = await askInEngine({
    plugin: { from: new URL(url), ...(name === undefined ? {} : { name }), config: question.config },
    contract,
    timeoutMs: question.timeoutMs,
    setupTimeoutMs: question.setupTimeoutMs,
    eventsOf: async () => events,
    onStep: (hookpoint) => void send({ kind: 'stage', stage: hookpoint }),
  })
  takeAsked(asked, events, report)
  const known = new Set(report.findings.map(({ id }) => id))
  report.findings.push(
    ...judgeAsked(asked, events, question.timeoutMs).filter(({ id, hookpoint }) => hookpoint || !known.has(id)),
  )
  await send({ kind: 'report', report })
  // From close by it would only do again what it did there, with nobody to stop it.
  if (asked.incidents.some(({ kind }) => kind === 'blocked' || kind === 'crash')) return

  await send({ kind: 'stage', stage: 'memory and signals' })
  await exercise({ ...task, name }, asked, events, report)
}

/** Asks the plugin in the way in which it is to be run, and runs it in no other: what takes more than that is not looked at. */
async function checkConfined(question: CheckQuestion, report: PluginReport): Promise<void> {
  const { from, config, confinement } = question
  const contract = await findContract(question.contract, from)
  let events: readonly HookEvents[] = []
  const asked = await askInEngine({
    plugin: { from, ...(config === undefined ? {} : { config }), ...confinement } as PluginOptions,
    contract,
    timeoutMs: question.timeoutMs,
    setupTimeoutMs: question.setupTimeoutMs,
    async eventsOf(name, hookpoints) {
      report.isLoaded = true
      report.name = name
      report.contract = contract.id
      report.hooks.push(...hookpoints.map((hookpoint) => hookReport(hookpoint, contract.hookpoints[hookpoint]?.kind)))
      await send({ kind: 'report', report })
      events = await eventsFor(contract, hookpoints, question)
      return events
    },
    onStep: (hookpoint) => void send({ kind: 'stage', stage: hookpoint }),
  })
  takeAsked(asked, events, report)
  if (report.hooks.length === 0) report.findings.push(finding('no-hooks', 'it subscribes to nothing'))
  report.findings.push(...judgeAsked(asked, events, question.timeoutMs))
}

/** Imports, sets up and destroys the plugin, from close by. Gives the name that the engine must give it, if any. */
async function lookAt(task: ProbeTask, report: PluginReport): Promise<string | undefined> {
  const heard = new Hearing(report)
  let end = await runProbe(task, (said) => heard.hear(said))
  let name: string | undefined
  const isNameless = report.error?.code === 'PLUGIN_NO_EXPORT' && report.name === null && report.contract !== null
  if (isNameless) {
    report.findings.push(finding('name-missing', String(report.error?.message).replace(/^plugin \S+: /, '')))
    report.error = null
    name = 'nameless'
    end = await runProbe({ ...task, name }, (said) => heard.hear(said))
  }
  report.findings.push(...judgeProbe(end, report, heard))
  if (end.how !== 'done' && !(end.stage === 'destroy' && report.setupMs !== null)) {
    report.error ??= { code: 'PLUGIN_SETUP_TIMEOUT', message: `it did not come back from ${end.stage}` }
  }
  report.isLoaded = report.error === null && report.setupMs !== null
  return name
}

function takeAsked(asked: Asked, events: readonly HookEvents[], report: PluginReport): void {
  for (const hook of report.hooks) {
    const found = asked.hooks.find(({ hookpoint }) => hookpoint === hook.hookpoint)
    hook.note = found?.note ?? events.find(({ hookpoint }) => hookpoint === hook.hookpoint)?.note ?? null
    if (found === undefined) continue
    hook.events = found.events
    const { continue: went, ...others } = found.verdicts
    // An observer was not asked.
    const asHeard = hook.kind === 'observe' && went !== undefined
    hook.verdicts = asHeard ? { heard: went, ...others } : { ...found.verdicts }
    hook.failures = { ...found.failures }
    hook.runUs = { ...found.runUs }
  }
}

async function exercise(
  task: ProbeTask,
  asked: Asked,
  events: readonly HookEvents[],
  report: PluginReport,
): Promise<void> {
  const heard = new Hearing(emptyReport({ shown: report.from, confinement: null }))
  const end = await runProbe(
    {
      ...task,
      events: Object.fromEntries(events.map((each) => [each.hookpoint, each.events])),
      usualMs: Object.fromEntries(asked.hooks.map(({ hookpoint, runUs }) => [hookpoint, runUs.p50 / 1000])),
    },
    (said) => heard.hear(said),
  )
  for (const { hookpoint, isAsync, bytesPerEvent } of heard.exercised ?? []) {
    const hook = report.hooks.find((each) => each.hookpoint === hookpoint)
    if (hook === undefined) continue
    hook.isAsync = isAsync
    hook.bytesPerEvent = bytesPerEvent
  }
  report.findings.push(...judgeExercise(end, heard, report, events))
}
