/** Calls that consist of several: the hops of a parallel gate, and shadows. Host's thread only. */
import { HookringError } from '../../contracts/errors.js'
import { CONTINUE, type Failure, type Verdict } from '../../contracts/verdict.js'
import { Call, ensureRare } from '../model/call.js'
import type { CallOptions } from '../model/call-options.js'
import type { ActivePlugin } from '../model/plugin.js'
import type { Route, Step } from '../model/route.js'
import type { Hops } from './hops.js'
import type { Selection } from './selection.js'

export interface FanOutOptions {
  readonly hops: Hops
  readonly selection: Selection
  /** Counts the call and applies its options. */
  begin(call: Call, event: unknown, options: CallOptions | undefined): void
}

export class FanOut {
  readonly #hops: Hops
  readonly #selection: Selection
  readonly #begin: FanOutOptions['begin']

  constructor({ hops, selection, begin }: FanOutOptions) {
    this.#hops = hops
    this.#selection = selection
    this.#begin = begin
  }

  /**
   * Starts the hops of a parallel gate, each as a call of its own. The first reject, in the order of the chain, is the
   * verdict.
   */
  branch(parent: Call, branches: readonly Route[], event: unknown, callOptions: CallOptions | undefined): void {
    const verdicts: (Verdict | Error | undefined)[] = branches.map(() => undefined)
    const children: Call[] = []
    const { signal: _, ...inherited } = callOptions ?? {}
    for (const [index, route] of branches.entries()) {
      const child = new Call(parent.hookpoint, route)
      ensureRare(child).isPart = true
      ensureRare(child).onSettled = (verdict) => {
        verdicts[index] = verdict
        this.#decideParent(parent, verdicts, children)
      }
      children.push(child)
      this.#begin(child, event, inherited)
      if (!child.isSettled) this.#hops.start(child, event)
      if (parent.isSettled) break
    }
    if (!parent.isSettled) ensureRare(parent).children = children
  }

  #decideParent(parent: Call, verdicts: readonly (Verdict | Error | undefined)[], children: readonly Call[]): void {
    if (parent.isSettled) return
    let failure: Failure | undefined
    for (const verdict of verdicts) {
      if (verdict === undefined) return
      if (verdict instanceof Error) {
        this.#hops.refuse(parent, verdict)
        break
      }
      if (verdict.kind !== 'continue') {
        this.#hops.decide(parent, verdict)
        break
      }
      failure ??= verdict.failure
    }
    if (!parent.isSettled) this.#hops.decide(parent, failure === undefined ? CONTINUE : { kind: 'continue', failure })
    for (const child of children) if (!child.isSettled) this.abandonQuietly(child)
  }

  /** Ends a call whose verdict nobody waits for any more. */
  abandonQuietly(call: Call): void {
    if (call.isSettled) return
    ensureRare(call).onSettled = null
    this.#hops.withdraw(call)
    this.#hops.refuse(call, new HookringError('CALL_ABORTED', 'another hop has decided'))
  }

  /** Asks a shadow. Nobody waits for its verdict, which is compared with the enforced one and counted. */
  beginShadow(main: Call, route: Route, event: unknown, callOptions: CallOptions | undefined): void {
    const plugin = (route.steps[0] as Step).plugins[0] as ActivePlugin
    if (!this.#selection.wants(plugin, event)) return
    const { signal: _, times: __, ...inherited } = callOptions ?? {}
    const shadow = new Call(main.hookpoint, route)
    compareShadow(main, shadow, plugin)
    this.#begin(shadow, event, inherited)
    if (!shadow.isSettled) this.#hops.start(shadow, event)
  }
}

/** When both have settled, counts how the shadow's verdict compares with the enforced one. */
function compareShadow(main: Call, shadow: Call, plugin: ActivePlugin): void {
  let enforced: Verdict | undefined
  let said: Verdict | Error | undefined
  const compare = () => {
    if (enforced === undefined || said === undefined) return
    const hasFailed =
      said instanceof HookringError ? said.code === 'PLUGIN_FAILED' : 'failure' in said && said.failure !== undefined
    if (said instanceof Error && !hasFailed) return
    plugin.recorders[main.hookpoint.index]!.recordShadow(
      hasFailed || said instanceof Error ? 'failure' : said.kind,
      enforced.kind,
    )
  }
  const { resolve } = main
  main.resolve = (verdict) => {
    enforced = verdict
    compare()
    resolve?.(verdict)
  }
  ensureRare(shadow).isPart = true
  ensureRare(shadow).onSettled = (verdict) => {
    said = verdict
    compare()
  }
}
