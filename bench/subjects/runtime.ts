/**
 * A subject of case `runtimes`: the payload limiter in one runtime behind one boundary, asked as in `peers`. Says how long
 * its engine took to serve, and what that weighs, child processes included.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { createHookEngine, type PluginOptions } from 'hookring'
import { delivery } from 'hookring/contracts'
import { type DeliveryEvent, deliveryEvents } from '../contenders/delivery-events.js'
import type { Subject } from '../instruments.js'

export interface RuntimeOptions {
  readonly plugin: PluginOptions
}

export interface RuntimeAbout {
  /** From the call of createHookEngine to an engine that serves. */
  readonly loadMs: number
  readonly memoryMb: number
}

/** What a new thread or process still asks of the system after it serves. */
const SETTLING_MS = 300
const PAGE_BYTES = 4096

export async function open({ plugin }: RuntimeOptions): Promise<Subject<DeliveryEvent>> {
  const before = residentMb()
  const startMs = performance.now()
  const engine = await createHookEngine({ contract: delivery, plugins: [plugin], timeoutMs: 1_000, spares: 0 })
  const loadMs = performance.now() - startMs
  await sleep(SETTLING_MS)
  return {
    ...deliveryEvents(),
    about: { loadMs, memoryMb: residentMb() - before } satisfies RuntimeAbout,
    ask: (event) => engine.hooks.onMessageEnqueue(event),
    close: () => engine.close(),
  }
}

/** Of this process and of all below it. Pages that processes share are counted in each. */
function residentMb(): number {
  let bytes = process.memoryUsage.rss()
  const parents = new Map<number, number>()
  for (const entry of process.platform === 'linux' ? readdirSync('/proc') : []) {
    if (!/^\d+$/.test(entry)) continue
    try {
      const parent = /\) \S (\d+)/.exec(readFileSync(`/proc/${entry}/stat`, 'utf8'))?.[1]
      parents.set(Number(entry), Number(parent))
    } catch {
      // It has gone meanwhile.
    }
  }
  const isBelow = (pid: number): boolean => {
    const parent = parents.get(pid)
    return parent !== undefined && (parent === process.pid || isBelow(parent))
  }
  for (const pid of parents.keys()) {
    if (!isBelow(pid)) continue
    try {
      bytes += Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1]) * PAGE_BYTES
    } catch {
      // It has gone meanwhile.
    }
  }
  return bytes / 2 ** 20
}
