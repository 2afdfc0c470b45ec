/** Formats figures for people and rounds them for machines. Pure, except for the line that names the machine. */
import { availableParallelism, cpus } from 'node:os'

/** One line that names the machine: without it no figure means anything. */
export function machineLine(): string {
  const model = cpus()[0]?.model.trim() ?? 'unknown CPU'
  return `Node ${process.version}, ${availableParallelism()} CPUs (${model}), ${process.platform} ${process.arch}`
}

export function formatUs(us: number): string {
  if (!Number.isFinite(us)) return '-'
  if (us >= 1_000_000) return `${significant(us / 1_000_000)} s`
  if (us >= 1000) return `${significant(us / 1000)} ms`
  if (us >= 1) return `${significant(us)} µs`
  return `${significant(us * 1000)} ns`
}

export function formatMs(ms: number): string {
  return formatUs(ms * 1000)
}

export function formatRate(perSecond: number): string {
  if (!Number.isFinite(perSecond)) return '-'
  if (perSecond >= 1_000_000) return `${significant(perSecond / 1_000_000)} M/s`
  if (perSecond >= 1000) return `${significant(perSecond / 1000)} k/s`
  return `${significant(perSecond)}/s`
}

export function formatTimes(ratio: number): string {
  return Number.isFinite(ratio) ? `${significant(ratio)}x` : '-'
}

export function formatBytes(bytes: number): string {
  if (Math.abs(bytes) >= 1024 * 1024) return `${significant(bytes / 1024 / 1024)} MiB`
  if (Math.abs(bytes) >= 1024) return `${significant(bytes / 1024)} KiB`
  return `${bytes} B`
}

/** Three significant digits, without an exponent. */
export function significant(value: number): string {
  if (value === 0) return '0'
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))))
  return value.toFixed(Math.min(digits, 4))
}

/** A noisy machine supports no more than three digits, and JSON stays readable. */
export function rounded(value: number): number | null {
  return Number.isFinite(value) ? Number(value.toPrecision(4)) : null
}

export function median(values: readonly number[]): number {
  const sorted = values.filter((value) => !Number.isNaN(value)).sort((a, b) => a - b)
  if (sorted.length === 0) return Number.NaN
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1
    ? (sorted[middle] as number)
    : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2
}
