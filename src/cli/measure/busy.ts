/**
 * Host busy time: how long a server's thread could do no other work. It is the CPU time of that one thread (user and kernel,
 * polling and spinning included) plus the time for which it is blocked inside JavaScript. Called on the thread whose cost is
 * measured.
 *
 * - `process.cpuUsage` counts all threads, so it would charge the host for its workers.
 * - `performance.eventLoopUtilization` alone counts time that other processes took from the thread, and leaves out the
 *   kernel's share of sleeping and waking up, which is most of the cost at low rates.
 * So on Linux the thread's CPU time comes from the kernel (`process.threadCpuUsage` where Node has it, otherwise schedstat).
 * Blocked time is the wall clock without CPU time, time waiting for a CPU and the event loop's own idle time. Where neither
 * source exists, the event loop's active time stands in, and `busySource` says so.
 */
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

export type BusySource = 'thread-cpu' | 'schedstat' | 'event-loop'

interface BusySample {
  readonly wallMs: number
  /** The calling thread's CPU time. */
  readonly cpuMs: number
  /** Time for which the thread was runnable without a CPU. */
  readonly queuedMs: number
  readonly idleMs: number
  readonly activeMs: number
  readonly processCpuMs: number
}

export interface BusyTime {
  readonly wallMs: number
  readonly hostBusyMs: number
  readonly processCpuMs: number
}

// From Node 23.9 on; the types of Node 20 do not have it.
const threadCpuUsage = (process as { threadCpuUsage?: () => { user: number; system: number } }).threadCpuUsage

export const busySource: BusySource =
  readSchedstat() === undefined ? (threadCpuUsage === undefined ? 'event-loop' : 'thread-cpu') : 'schedstat'

/** Starts measuring the calling thread's busy time. The returned function ends it. */
export async function startBusyClock(): Promise<() => Promise<BusyTime>> {
  const before = await sampleBusy()
  return async () => {
    const after = await sampleBusy()
    const wallMs = after.wallMs - before.wallMs
    const processCpuMs = after.processCpuMs - before.processCpuMs
    if (busySource === 'event-loop') {
      return { wallMs, processCpuMs, hostBusyMs: after.activeMs - before.activeMs }
    }
    const cpuMs = after.cpuMs - before.cpuMs
    const queuedMs = after.queuedMs - before.queuedMs
    const blockedMs = wallMs - cpuMs - queuedMs - (after.idleMs - before.idleMs)
    return { wallMs, processCpuMs, hostBusyMs: cpuMs + (busySource === 'schedstat' ? Math.max(0, blockedMs) : 0) }
  }
}

async function sampleBusy(): Promise<BusySample> {
  // The kernel updates a thread's account when the thread leaves the CPU; a short sleep makes the reading exact.
  await sleep(2)
  const schedstat = readSchedstat()
  const cpu = threadCpuUsage?.call(process)
  const utilization = performance.eventLoopUtilization()
  const processCpu = process.cpuUsage()
  return {
    wallMs: performance.now(),
    cpuMs: cpu === undefined ? (schedstat?.cpuMs ?? 0) : (cpu.user + cpu.system) / 1000,
    queuedMs: schedstat?.queuedMs ?? 0,
    idleMs: utilization.idle,
    activeMs: utilization.active,
    processCpuMs: (processCpu.user + processCpu.system) / 1000,
  }
}

function readSchedstat(): { cpuMs: number; queuedMs: number } | undefined {
  if (process.platform !== 'linux') return undefined
  try {
    const [cpuNs, queuedNs] = readFileSync('/proc/thread-self/schedstat', 'latin1').split(' ').map(Number)
    if (cpuNs === undefined || queuedNs === undefined || cpuNs === 0) return undefined
    return { cpuMs: cpuNs / 1e6, queuedMs: queuedNs / 1e6 }
  } catch {
    return undefined
  }
}
