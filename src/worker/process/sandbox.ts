/**
 * What is put around a child process, and what of it is missing here: Node's permission model everywhere; on Linux limits
 * (prlimit) and namespaces without network, host processes or host files (bubblewrap). The lane's thread only.
 */
import { readFileSync } from 'node:fs'
import type { ChildProfile } from '../../contracts/process.js'
import { bubblewrapArgs } from '../../sandbox/bubblewrap.js'
import { librariesOf } from '../../sandbox/libraries.js'
import { findTool } from '../../sandbox/tools.js'
import { filesOf } from './readable.js'
import { syscallFilter } from './syscalls.js'

export interface Launch {
  readonly command: string
  readonly args: readonly string[]
  /** The program runs in what the command forks, and the command waits for that. */
  readonly forks: boolean
  /** Bytes that the program reads from descriptor 4; null: it has none. */
  readonly filter: Uint8Array | null
  /** What this machine lacks, each with what to do; empty: the sandbox is whole. */
  readonly missing: readonly string[]
}

export interface LaunchOptions {
  readonly profile: ChildProfile
  /** The child's program: a file of this package. */
  readonly program: string
  /** Parts that were tried and do not work here, with what they said. */
  readonly broken: readonly Broken[]
}

export interface Broken {
  readonly tool: 'bwrap' | 'prlimit'
  readonly said: string
}

/** Node.js before it runs anything: stacks of its threads, the heap's first pages, its own tables (measured: 50 to 60). */
const NODE_MB = 128
/** Half of the largest young generation that a child gets comes from this; V8 reserves three of them. */
const SEMI_SPACE_MB = 8
/**
 * A child that nobody ends any more ends by itself after this much of a core. Anyone else is ended by deadlines long before.
 */
const CPU_SECONDS = 24 * 3600
const MAX_OPEN_FILES = 128

/** The descriptor from which bubblewrap reads the filter of system calls. */
export const FILTER_FD = 4

export function planLaunch({ profile, program, broken }: LaunchOptions): Launch {
  const missing: string[] = []
  const find = (tool: Broken['tool'], what: string): string | null => {
    const failed = broken.find((other) => other.tool === tool)
    const path = failed === undefined ? findTool(tool, profile.searchPath) : null
    if (path === null) {
      missing.push(
        failed === undefined
          ? `${what} (${tool} is not installed)`
          : `${what} (${tool} does not work here: ${failed.said})`,
      )
    }
    return path
  }
  const files = filesOf(profile)
  let command = [process.execPath, ...nodeFlags(profile, files), program]
  let filter: Uint8Array | null = null
  if (process.platform !== 'linux') {
    missing.push(`namespaces and limits (there are none on ${process.platform})`)
    return { command: command[0] as string, args: command.slice(1), forks: false, filter, missing }
  }
  const bwrap = find('bwrap', 'namespaces without network, processes and files of the host')
  if (bwrap !== null) {
    filter = syscallFilter(process.arch)
    command = [bwrap, ...namespaces(profile, files, filter !== null), '--', ...command]
  } else {
    const setpriv = findTool('setpriv', profile.searchPath)
    if (setpriv !== null) command = [setpriv, '--no-new-privs', '--pdeathsig', 'KILL', '--', ...command]
  }
  const prlimit = find('prlimit', 'limits of memory and CPU time')
  if (prlimit !== null) command = [prlimit, ...limits(profile), '--', ...command]
  return { command: command[0] as string, args: command.slice(1), forks: bwrap !== null, filter, missing }
}

function nodeFlags({ memoryMb, runtimes }: ChildProfile, files: readonly string[]): string[] {
  const knows = (flag: string) => process.allowedNodeEnvironmentFlags.has(flag)
  const needsAddons = runtimes.includes('native')
  return [
    knows('--permission') ? '--permission' : '--experimental-permission',
    ...files.map((file) => `--allow-fs-read=${file}`),
    ...(needsAddons ? (knows('--allow-addons') ? ['--allow-addons'] : []) : ['--no-addons']),
    '--disable-warning=ExperimentalWarning',
    '--disable-warning=SecurityWarning',
    `--max-old-space-size=${memoryMb}`,
    `--max-semi-space-size=${SEMI_SPACE_MB}`,
  ]
}

function limits({ memoryMb }: ChildProfile): string[] {
  const dataMb = NODE_MB + codeRangeMb() + 3 * SEMI_SPACE_MB + memoryMb
  return [
    `--data=${dataMb * 1024 * 1024}`,
    `--cpu=${CPU_SECONDS}`,
    '--core=0',
    '--fsize=0',
    `--nofile=${MAX_OPEN_FILES}`,
  ]
}

/** Newer V8s map all room for machine code writable at once, which counts as data though little of it is ever touched. */
function codeRangeMb(): number {
  let mostBytes = 0
  try {
    for (const [, from, to] of readFileSync('/proc/self/maps', 'utf8').matchAll(/^(\w+)-(\w+) rwx/gm)) {
      mostBytes = Math.max(mostBytes, Number.parseInt(to as string, 16) - Number.parseInt(from as string, 16))
    }
  } catch {
    // Without /proc: as for a V8 that does not do it.
  }
  return Math.ceil(mostBytes / 1024 / 1024)
}

function namespaces({ env, libraries }: ChildProfile, files: readonly string[], hasFilter: boolean): string[] {
  const linked = [process.execPath, ...libraries].flatMap((binary) => librariesOf(binary))
  const folders = files.map((file) => file.replace(/\/\*$/, ''))
  return bubblewrapArgs({
    readable: [...linked, process.execPath, ...folders],
    env,
    filterFd: hasFilter ? FILTER_FD : null,
  })
}
