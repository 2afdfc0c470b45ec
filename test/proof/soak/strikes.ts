/** Makes planned faults come about. Host's thread only. */
import type { Evidence } from './evidence.js'
import type { Fault, FaultKind } from './plan.js'
import { roleOf } from './roles.js'
import type { Stage } from './stage.js'

export interface Strikes {
  /** Returns at once; what it begins may go on for a while. */
  strike(fault: Fault): void
  readonly counts: Readonly<Partial<Record<FaultKind, number>>>
  /** Resolves when nothing that was begun is under way any more. */
  settled(): Promise<void>
}

const WAYS_TO_FAIL = ['throws', 'exits', 'hangs', 'unimportable'] as const

/** Calls of the same hookpoint in the same turn. */
const FOLLOWERS = 40

export function createStrikes(stage: Stage, evidence: Evidence): Strikes {
  const counts: Partial<Record<FaultKind, number>> = {}
  const underWay = new Set<Promise<unknown>>()

  function begin(work: Promise<unknown>): void {
    const done = work.finally(() => underWay.delete(done))
    underWay.add(done)
  }

  function after(ms: number, then: () => void): void {
    begin(
      new Promise<void>((resolve) => {
        setTimeout(() => {
          then()
          resolve()
        }, ms)
      }),
    )
  }

  function bring({ kind, engine, plugin, hookpoint, count, ms, way }: Fault): void {
    const role = roleOf(engine, plugin)
    switch (kind) {
      case 'throw':
      case 'hang':
      case 'spin':
      case 'exit':
      case 'heapOverflow':
      case 'unhandledRejection':
      case 'uncaughtException':
      case 'memoryGrowth':
      case 'badReply':
      case 'lateReply':
        for (let call = 0; call < count; call++)
          stage.fire(engine, hookpoint, { mood: 'welcome', act: kind, actor: role })
        // With more behind it, which its lane has not begun when it dies.
        if (way < 0.5) for (let call = 0; call < FOLLOWERS; call++) stage.fire(engine, hookpoint)
        return
      case 'slowStart':
        if (way < 0.5) {
          begin(stage.reload(engine, plugin, ms))
          return
        }
        evidence.slowStart(role.plugin, ms)
        stage.fire(engine, hookpoint, { mood: 'welcome', act: 'exit', actor: role })
        return
      case 'failedStart':
        evidence.failStarts(role.plugin, count)
        stage.fire(engine, hookpoint, { mood: 'welcome', act: 'exit', actor: role })
        return
      case 'reload':
        begin(stage.reload(engine, plugin, 'well'))
        return
      case 'failedReload':
        begin(stage.reload(engine, plugin, WAYS_TO_FAIL[Math.floor(way * WAYS_TO_FAIL.length)] ?? 'throws'))
        return
      case 'add':
        begin(stage.add(engine, plugin))
        return
      case 'remove':
        begin(stage.remove(engine, plugin))
        return
      case 'quarantine':
        // At times while another version of it starts.
        if (way < 0.3) begin(stage.reload(engine, plugin, 'well'))
        after(way < 0.3 ? way * 200 : 0, () => {
          stage.hold(engine, plugin)
          after(ms, () => stage.release(engine, plugin))
        })
        return
      case 'recreate':
        begin(stage.recreate(engine))
        return
      case 'abort':
        abort(engine, hookpoint, count, ms, way)
        return
      case 'callerTimeout':
        for (let call = 0; call < count; call++) stage.fire(engine, hookpoint, { timeoutMs: ms })
        return
      case 'badEvent':
        for (let call = 0; call < count; call++) stage.fire(engine, hookpoint, { mood: 'welcome', isMisfit: true })
        return
      case 'queueOverflow':
        for (let call = 0; call < count; call++) {
          // At times the lane dies in the midst of it.
          if (way < 0.3 && call === count >> 2) stage.fire(engine, hookpoint, { act: 'exit', actor: role })
          stage.fire(engine, hookpoint)
        }
        return
      case 'mainThreadStall':
        stall(ms)
        return
    }
  }

  /** One signal for all calls, one for each, or one that was aborted before. */
  function abort(engine: string, hookpoint: string, count: number, ms: number, way: number): void {
    const isEachOwn = way < 0.5
    const controllers = Array.from({ length: isEachOwn ? count : 1 }, () => new AbortController())
    if (way > 0.9) controllers[0]?.abort()
    for (let call = 0; call < count; call++) {
      const { signal } = controllers[call % controllers.length] as AbortController
      stage.fire(engine, hookpoint, { signal })
    }
    after(ms, () => {
      for (const controller of controllers) controller.abort()
    })
  }

  return {
    strike(fault) {
      counts[fault.kind] = (counts[fault.kind] ?? 0) + 1
      bring(fault)
    },
    counts,
    async settled() {
      while (underWay.size > 0) await Promise.all(underWay)
    },
  }
}

/** The server's thread computes, and does nothing else. */
function stall(ms: number): void {
  const end = performance.now() + ms
  while (performance.now() < end);
}
