/**
 * A guest's log lines, on their way to the host's logger: as many as a person might read, and the number of those that
 * were too many. The lane's thread only.
 */
import type { PluginLogger } from '../../../plugin/index.js'
import { monotonicMs } from '../../../ring/clock.js'
import { runAs } from '../../thread/attribution.js'
import { thrownBy } from './definition.js'
import { readText } from './text.js'

/** A stack trace for each call of a burst; from then on a line in two milliseconds. */
const BURST_LINES = 1_000
const LINES_PER_MS = 0.5
const LEVELS = ['debug', 'info', 'warn', 'error'] as const
const NO_BYTES = new Uint8Array()

/** @param level below 0: an error that nobody caught, described @param text the line, and its fields behind a line break */
export type GuestLog = (level: number, text: string) => void

export function createGuestLog(plugin: string, log: PluginLogger): GuestLog {
  let room = BURST_LINES
  let sinceMs = monotonicMs()
  let dropped = 0
  return (level, text) => {
    const nowMs = monotonicMs()
    room = Math.min(BURST_LINES, room + (nowMs - sinceMs) * LINES_PER_MS)
    sinceMs = nowMs
    if (room < 1) {
      dropped += 1
      return
    }
    room -= 1
    if (dropped > 0) {
      log.warn(`${dropped} lines were dropped: there were more than ${BURST_LINES} at once`)
      dropped = 0
    }
    // It falls as an error of a module would: reported, and counted as a failure of the plugin.
    if (level < 0) void runAs(plugin, () => Promise.reject(thrownBy(String(JSON.parse(text)))))
    else write(log, level, text)
  }
}

function write(log: PluginLogger, level: number, text: string): void {
  const end = text.indexOf('\n')
  const message = String(JSON.parse(end === -1 ? text : text.slice(0, end)))
  const name = LEVELS[level] ?? 'info'
  if (end === -1) log[name](message)
  else log[name](message, readText(text.slice(end + 1), NO_BYTES) as Record<string, unknown>)
}
