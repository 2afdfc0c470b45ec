/** Takes what a probe says: what belongs in the report goes there, what is to be judged is kept. In the process that checks. */
import { nearestOf } from '../common/nearest.js'
import type { ProbeSays } from './probe/probe-protocol.js'
import { type Finding, finding, type HookReport, type PluginReport } from './report.js'

type Said<Kind extends ProbeSays['kind']> = Extract<ProbeSays, { kind: Kind }>

export class Hearing {
  readonly uncaught: string[] = []
  unknownHooks: readonly Finding[] = []
  closed: Said<'closed'> | null = null
  exercised: Said<'exercised'>['hooks'] | null = null
  readonly #report: PluginReport

  constructor(report: PluginReport) {
    this.#report = report
  }

  hear(said: ProbeSays): void {
    const report = this.#report
    switch (said.kind) {
      case 'stage':
        break
      case 'definition':
        report.name = said.name
        report.contract = said.contract
        report.config = said.config
        break
      case 'imported':
        report.importMs ??= said.ms
        break
      case 'setUp':
        this.#setUp(said)
        break
      case 'unknownHooks':
        this.unknownHooks = said.names.map((name) => unknownHook(name, said.known))
        break
      case 'closed':
        report.destroyMs ??= said.ms
        this.closed = said
        break
      case 'refused':
        report.error = { code: said.code, message: said.message }
        break
      case 'uncaught':
        this.uncaught.push(said.message)
        break
      case 'exercised':
        this.exercised = said.hooks
        break
    }
  }

  #setUp({ ms, loadBytes, hooks }: Said<'setUp'>): void {
    const report = this.#report
    report.setupMs ??= ms
    report.memory.loadBytes ??= Math.max(0, loadBytes)
    if (report.hooks.length > 0) return
    report.hooks.push(...hooks.map((hook) => hookReport(hook.hookpoint, hook.kind, hook.isAsyncFunction)))
  }
}

export function hookReport(hookpoint: string, kind = '', isAsyncFunction = false): HookReport {
  return {
    hookpoint,
    kind,
    isAsync: isAsyncFunction ? true : null,
    events: 0,
    verdicts: {},
    failures: {},
    runUs: { p50: null, p99: null, max: null },
    bytesPerEvent: null,
    note: null,
  }
}

function unknownHook(name: string, known: readonly string[]): Finding {
  const near = nearestOf(name, known)
  const hint = near === null ? `it has ${known.join(', ')}` : `did you mean ${near}?`
  return finding('hook-unknown', `the contract has no hookpoint ${name}; ${hint}`, { hookpoint: name })
}
