/** Child processes of engines, as the system's own tables have them. Linux alone. */
import { spawnSync } from 'node:child_process'
import { accessSync, constants, readdirSync, readFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'

const PROGRAM = 'worker/process/child.js'

/** Why the whole sandbox cannot be had here; null: it can. */
export const noSandbox: string | null =
  process.platform !== 'linux'
    ? 'namespaces are of Linux'
    : (['bwrap', 'prlimit'].find((tool) => !isInstalled(tool))?.concat(' is not installed') ?? whyBroken())

/** Where user namespaces are forbidden, bubblewrap is installed in vain. */
function whyBroken(): string | null {
  const bare = ['--unshare-all', '--ro-bind', '/', '/', 'true']
  const { status, stderr } = spawnSync('bwrap', bare, { encoding: 'utf8', timeout: 10_000 })
  return status === 0 ? null : `bwrap does not work here: ${stderr.trim()}`
}

function isInstalled(tool: string): boolean {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, tool), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

/** Processes that run plugins below `ancestor`, and dead ones that nobody has taken note of. */
export function pluginProcesses(ancestor = process.pid): number[] {
  const parents = processTable()
  const isBelow = (pid: number): boolean => {
    const parent = parents.get(pid)?.parent
    return parent !== undefined && (parent === ancestor || isBelow(parent))
  }
  return [...parents.keys()].filter((pid) => {
    if (!isBelow(pid)) return false
    const { state, name } = parents.get(pid) as ProcessEntry
    return state === 'Z' ? /bwrap|prlimit|setpriv/.test(name) : isProgram(pid)
  })
}

/** Processes that were to run plugins and have lost whoever started them. */
export function orphans(): number[] {
  return [...processTable()].filter(([pid, { parent }]) => parent === 1 && isProgram(pid)).map(([pid]) => pid)
}

interface ProcessEntry {
  readonly parent: number
  readonly state: string
  readonly name: string
}

function processTable(): Map<number, ProcessEntry> {
  const table = new Map<number, ProcessEntry>()
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    try {
      const [, name, state, parent] = /\((.*)\) (\S) (\d+)/s.exec(readFileSync(`/proc/${entry}/stat`, 'utf8')) ?? []
      table.set(Number(entry), { parent: Number(parent), state: state as string, name: name as string })
    } catch {
      // It has gone meanwhile.
    }
  }
  return table
}

/** Whether a process runs plugins; false once it is gone. */
export function isProgram(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(PROGRAM)
  } catch {
    return false
  }
}
