/**
 * Keeps plugins in this thread from taking the server down by accident: what a script of its own may do to its process, a
 * plugin does to everyone's. No boundary: who means harm finds other ways. Installed once per thread, before any plugin is
 * imported.
 */
import { createRequire } from 'node:module'
import { HookringError } from '../../contracts/errors.js'

export function hardenThread(): void {
  const kill = process.kill.bind(process)
  protect(process, 'kill', (pid: number, signal?: string | number) => {
    if (reachesHost(pid) && signal !== 0) {
      throw refusal(`process.kill(${String(pid)})`, 'end the server; process.exit() ends the plugin’s own lane')
    }
    return kill(pid, signal)
  })
  protect(process, 'abort', () => {
    throw refusal('process.abort()', 'end the server; process.exit() ends the plugin’s own lane')
  })
  const inspector = createRequire(import.meta.url)('node:inspector') as { Session: { prototype: object } }
  protect(inspector.Session.prototype, 'connectToMainThread', () => {
    throw refusal('inspector.Session.connectToMainThread()', 'run code in the server’s own thread')
  })
}

/** This process, the group that it leads or belongs to, and everything that may be signalled: 0, -1, -pid. */
function reachesHost(pid: unknown): boolean {
  const target = Number(pid)
  return target === 0 || target === -1 || Math.abs(target) === process.pid || target === process.ppid
}

function protect(owner: object, name: string, value: (...args: never[]) => unknown): void {
  Object.defineProperty(owner, name, { value, configurable: true, writable: true, enumerable: true })
}

function refusal(what: string, why: string): HookringError {
  return new HookringError('HOST_PROTECTED', `${what} is kept from plugins: it would ${why}`)
}
