/**
 * Which plugin's code runs in this thread: for lines printed to the console and errors that nobody caught. The lane's
 * thread only.
 *
 * While a hook runs synchronously, a variable says so. What continues later (promises, timers, sockets) carries the name in
 * an AsyncLocalStorage, which is entered only where it can matter: around import and setup, and around hooks that are
 * known to be async, and only in lanes with more than one plugin.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { fileURLToPath } from 'node:url'

const storage = new AsyncLocalStorage<string>()
let running: string | undefined
let sole: string | undefined
const filesOf = new Map<string, string>()

/** Tells who lives in this lane; called before anything is imported. */
export function setResidents(plugins: readonly { name: string; url: string }[]): void {
  sole = plugins.length === 1 ? plugins[0]?.name : undefined
  for (const { name, url } of plugins) filesOf.set(url, name)
}

/** A plugin has told its own name. */
export function nameResident({ name, url }: { name: string; url: string }): void {
  if (sole !== undefined) sole = name
  filesOf.set(url, name)
}

export function setRunning(plugin: string | undefined): void {
  running = plugin
}

/** Runs `body` with the plugin's name on everything that follows from it. */
export function runAs<T>(plugin: string, body: () => T): T {
  return sole === undefined ? storage.run(plugin, body) : body()
}

/** The plugin whose code runs now, or the lane itself. */
export function currentPlugin(): string {
  return sole ?? running ?? storage.getStore() ?? UNKNOWN
}

/** The plugin that an uncaught error comes from: by its context, else by the files in its stack. */
export function blamedPlugin(error: unknown): string {
  const known = currentPlugin()
  if (known !== UNKNOWN) return known
  const stack = error instanceof Error ? String(error.stack) : ''
  for (const [url, name] of filesOf) if (stack.includes(url) || stack.includes(placeOf(url))) return name
  return UNKNOWN
}

/** A stack that was mapped back to its sources names files by their paths. */
function placeOf(url: string): string {
  return url.startsWith('file:') ? fileURLToPath(url) : url
}

const UNKNOWN = '(lane)'
