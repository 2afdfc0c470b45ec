/**
 * What people write behind options, read and checked. Pure, but for the files that are named. What is wrong ends the
 * command with exit code 2.
 */
import { readFileSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { InvalidArgumentError } from 'commander'
import { UsageError } from './errors.js'

/** A number of at least `least`. */
export function numberFrom(least: number, { isWhole = false, most = Number.MAX_SAFE_INTEGER } = {}) {
  return (text: string): number => {
    const value = Number(text)
    const isNumber = text.trim() !== '' && Number.isFinite(value) && value >= least && value <= most
    if (isNumber && (!isWhole || Number.isInteger(value))) return value
    const range = most === Number.MAX_SAFE_INTEGER ? `of ${least} or more` : `from ${least} to ${most}`
    throw new InvalidArgumentError(`It must be a ${isWhole ? 'whole ' : ''}number ${range}.`)
  }
}

/** Whole numbers, separated by commas. */
export function levelsFrom(text: string): number[] {
  return text.split(',').map(numberFrom(1, { isWhole: true, most: 65_536 }))
}

/** `2`, `2s`, `1500ms`, `1m`; in milliseconds. A bare number is seconds. */
export function durationFrom(text: string): number {
  const [, digits, unit = 's'] = /^(\d+(?:\.\d+)?)(ms|s|m)?$/.exec(text.trim()) ?? []
  const ms = Number(digits) * { ms: 1, s: 1000, m: 60_000 }[unit as 'ms' | 's' | 'm']
  if (ms >= 0 && ms <= 3_600_000) return ms
  throw new InvalidArgumentError('It must be a duration such as 5s, 500ms or 2m, an hour at most.')
}

/** JSON as it stands, or `@file`. Repeated options gather in order. */
export function jsonFrom(text: string, earlier: readonly unknown[] = []): unknown[] {
  const isFile = text.startsWith('@')
  try {
    return [...earlier, JSON.parse(isFile ? readFileSync(text.slice(1), 'utf8') : text)]
  } catch (error) {
    throw new InvalidArgumentError(`${isFile ? text.slice(1) : 'It'} is no JSON: ${(error as Error).message}`)
  }
}

/** A plugin as the engine takes it: a file that exists, also without ./ before it, else what was written. */
export function pluginFrom(text: string): string {
  const isFile = statSync(resolve(text), { throwIfNoEntry: false })?.isFile() ?? false
  return isFile ? pathToFileURL(resolve(text)).href : text
}

/** What a plugin is for stands in its code, and code that is to be confined is not run to find out. */
export function contractUnsaid(command: string): UsageError {
  return new UsageError(
    'OPTIONS_INVALID',
    `--contract: say for which one a confined plugin is (delivery, ./file.ts#export); to see for itself, ${command} would have to run it unconfined`,
  )
}
