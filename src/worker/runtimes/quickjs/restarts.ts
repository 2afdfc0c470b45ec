/** How often a plugin's VM may be started anew: a plugin that breaks it with every call must not keep its lane busy. Pure. */

/** Each takes some milliseconds, and its setup. */
const MOST = 5
const WITHIN_MS = 60_000

export interface Restarts {
  brokeDown(reason: string): void
  began(nowMs: number): void
  /** Why it may not be started now; null: it may. */
  refusal(nowMs: number): string | null
}

export function createRestarts(plugin: string): Restarts {
  const begun: number[] = []
  let last = ''
  return {
    brokeDown(reason) {
      last = reason
    },
    began(nowMs) {
      begun.push(nowMs)
      if (begun.length > MOST) begun.shift()
    },
    refusal(nowMs) {
      const oldest = begun.length < MOST ? undefined : begun[0]
      if (oldest === undefined || nowMs - oldest > WITHIN_MS) return null
      return `plugin ${plugin} was started anew ${MOST} times within a minute and rests; the last time because: ${last}`
    },
  }
}
