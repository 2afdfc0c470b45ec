/**
 * How much CPU time of a virtual machine went to its neighbours while it had work of its own: `steal` in Linux's
 * /proc/stat. Figures that were measured meanwhile are largely the neighbours'.
 */
import { readFileSync } from 'node:fs'

/** Ticks of the kernel since the machine started, over all its CPUs. */
export interface CpuTicks {
  readonly all: number
  readonly stolen: number
}

/** `user nice system idle iowait irq softirq steal`; the two that follow are part of `user` and `nice`. */
const FIELDS = 8

/** undefined where the system does not tell. */
export function readCpuTicks(): CpuTicks | undefined {
  if (process.platform !== 'linux') return undefined
  try {
    return parseCpuTicks(readFileSync('/proc/stat', 'latin1'))
  } catch {
    return undefined
  }
}

/** @param stat the text of /proc/stat */
export function parseCpuTicks(stat: string): CpuTicks | undefined {
  const line = /^cpu +(.*)$/m.exec(stat)?.[1]
  const ticks = line?.split(' ').slice(0, FIELDS).map(Number) ?? []
  if (ticks.length < FIELDS || ticks.some((each) => !Number.isFinite(each))) return undefined
  return { all: ticks.reduce((sum, each) => sum + each, 0), stolen: ticks[FIELDS - 1] as number }
}

/** The share of CPU time between two readings that was stolen, 0 to 1; undefined if one is missing or no time has passed. */
export function stolenShare(before: CpuTicks | undefined, after: CpuTicks | undefined): number | undefined {
  if (before === undefined || after === undefined || after.all <= before.all) return undefined
  return (after.stolen - before.stolen) / (after.all - before.all)
}
