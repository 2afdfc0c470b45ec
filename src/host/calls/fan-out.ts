/**
 * Calls that are several at once: the hops of a parallel gate, and shadows beside what is enforced. Host's thread only.
 */
import { HookringError } from '../../contracts/errors.js'
import { CONTINUE, type Failure, type Verdict } from '../../contracts/verdict.js'
import { Call, ensureRare } from '../model/call.js'
import type { ActivePlugin } from '../model/plugin.js'
import type { Route, Step } from '../model/route.js'
import type { CallOptions } from './dispatcher.js'
import type { Hops } from './hops.js'

export interface FanOut {
  /** A call whose verdict nobody waits for any more. */
  abandonQuietly(call: Call): void
  branch(parent: Call, branches: readonly Route[], event: unknown, callOptions: CallOptions | undefined): void
  beginShadow(main: Call, route: Route, event: unknown, callOptions: CallOptions | undefined): void
}

/** @param begin counts a call in and applies its options. */
export function createFanOut(
  hops: Hops,
  begin: (call: Call, event: unknown, options: CallOptions | undefined) => void,
): FanOut {
  /** The hops of a parallel gate, each a call of its own; the first reject in the order of the chain is the verdict. */
  function branch(
    parent: Call,
    branches: readonly Route[],
    event: unknown,
    callOptions: CallOptions | undefined,
  ): void {
    const verdicts: (Verdict | Error | undefined)[] = branches.map(() => undefined)
    const children: Call[] = []
    const decideParent = () => {
      if (parent.isSettled) return
      let failure: Failure | undefined
      for (const verdict of verdicts) {
        if (verdict === undefined) return
        if (verdict instanceof Error) {
          hops.refuse(parent, verdict)
          break
        }
        if (verdict.kind !== 'continue') {
          hops.decide(parent, verdict)
          break
        }
        failure ??= verdict.failure
      }
      if (!parent.isSettled) hops.decide(parent, failure === undefined ? CONTINUE : { kind: 'continue', failure })
      for (const child of children) if (!child.isSettled) abandonQuietly(child)
    }
    const { signal: _, ...inherited } = callOptions ?? {}
    for (const [index, route] of branches.entries()) {
      const child = new Call(parent.hookpoint, route)
      ensureRare(child).isPart = true
      ensureRare(child).onSettled = (verdict) => {
        verdicts[index] = verdict
        decideParent()
      }
      children.push(child)
      begin(child, event, inherited)
      if (!child.isSettled) hops.start(child, event)
      if (parent.isSettled) break
    }
    if (!parent.isSettled) ensureRare(parent).children = children
  }

  /** A call whose verdict nobody waits for any more. */
  function abandonQuietly(call: Call): void {
    if (call.isSettled) return
    ensureRare(call).onSettled = null
    hops.withdraw(call)
    hops.refuse(call, new HookringError('CALL_ABORTED', 'another hop has decided'))
  }

  /** A shadow's verdict is compared with what was enforced, and counted; nobody waits for it. */
  function beginShadow(main: Call, route: Route, event: unknown, callOptions: CallOptions | undefined): void {
    const plugin = (route.steps[0] as Step).plugins[0] as ActivePlugin
    if (!hops.wants(plugin, event)) return
    const { signal: _, times: __, ...inherited } = callOptions ?? {}
    const shadow = new Call(main.hookpoint, route)
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
    begin(shadow, event, inherited)
    if (!shadow.isSettled) hops.start(shadow, event)
  }

  return { abandonQuietly, branch, beginShadow }
}
