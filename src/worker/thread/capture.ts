/**
 * Routes what plugin code prints, and errors that it lets fall, to the host's logger under the plugin's name. Installed
 * once per thread, before any plugin is imported.
 */
import { format, formatWithOptions } from 'node:util'
import type { LogLevel } from '../../contracts/control.js'
import { thrownText } from '../../contracts/errors.js'
import { blamedPlugin, currentPlugin } from './attribution.js'
import { clip, type LogSender } from './log-sender.js'

const CONSOLE_LEVELS: Readonly<Record<string, LogLevel>> = {
  debug: 'debug',
  trace: 'debug',
  log: 'info',
  info: 'info',
  dir: 'info',
  table: 'info',
  warn: 'warn',
  error: 'error',
}

export function captureOutput(sender: LogSender): void {
  const print = (level: LogLevel, message: string) =>
    sender.send({ level, plugin: currentPlugin(), message: clip(message) })

  for (const [method, level] of Object.entries(CONSOLE_LEVELS)) {
    Object.defineProperty(console, method, {
      configurable: true,
      writable: true,
      value: (...args: unknown[]) => print(level, format(...args)),
    })
  }
  captureStream(process.stdout, (text) => print('info', text))
  captureStream(process.stderr, (text) => print('error', text))

  // A lane outlives such errors as a browser's page does; the host counts them against the plugin.
  const fall = (what: string) => (error: unknown) =>
    sender.send({
      level: 'error',
      plugin: blamedPlugin(error),
      message: clip(`${what}: ${shown(error)}`),
      uncaught: true,
    })
  process.on('uncaughtException', fall('uncaught exception'))
  process.on('unhandledRejection', fall('unhandled rejection'))
}

/** Whatever was thrown. It is not asked how it wants to be shown: what it would be handed for that belongs to the thread. */
function shown(thrown: unknown): string {
  try {
    if (!(thrown instanceof Error)) return formatWithOptions({ customInspect: false }, thrown)
    // Hardened realms show no stacks.
    return thrown.stack || String(thrown)
  } catch {
    return thrownText(thrown)
  }
}

function captureStream(stream: NodeJS.WriteStream, print: (text: string) => void): void {
  const write = (chunk: unknown, encoding?: unknown, done?: unknown): boolean => {
    const text = typeof chunk === 'string' ? chunk : Buffer.from(chunk as Uint8Array).toString('utf8')
    for (const line of text.split('\n')) if (line !== '') print(line)
    const callback = typeof encoding === 'function' ? encoding : done
    if (typeof callback === 'function') queueMicrotask(callback as () => void)
    return true
  }
  Object.defineProperty(stream, 'write', { configurable: true, writable: true, value: write })
}
