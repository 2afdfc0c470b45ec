/**
 * Bubblewrap: what a confined process is started with, and whom to kill when it has to end. Any thread.
 */
import { existsSync, readFileSync } from 'node:fs'

export interface Confinement {
  /** Files and folders that the process may read, under their own paths. Those that do not exist are left out. */
  readonly readable: readonly string[]
  readonly env: Readonly<Record<string, string>>
  /** The descriptor from which bubblewrap reads a filter of system calls; null: none. */
  readonly filterFd: number | null
}

/** Namespaces of its own without network, no capabilities, no files but those, nothing that can be written. */
export function bubblewrapArgs({ readable, env, filterFd }: Confinement): string[] {
  const bound = [...new Set(readable)].filter((path) => existsSync(path))
  return [
    '--unshare-all',
    '--die-with-parent',
    '--new-session',
    ...['--cap-drop', 'ALL'],
    '--clearenv',
    ...Object.entries(env).flatMap(([name, value]) => ['--setenv', name, value]),
    ...bound.flatMap((path) => ['--ro-bind', path, path]),
    ...['--remount-ro', '/'],
    ...['--chdir', '/'],
    ...(filterFd === null ? [] : ['--seccomp', String(filterFd)]),
  ]
}

/**
 * The process that another one has forked; null: none, or it cannot be known here. Bubblewrap has to outlive what it forked,
 * because nobody else takes note of that one's death: so this is the process to kill.
 */
export function forkedBy(pid: number): number | null {
  try {
    return Number.parseInt(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8'), 10) || null
  } catch {
    return null
  }
}
