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
  readonly command: readonly string[]
  /** The program runs in what the command forks, and the command waits for that. */
  readonly forks: boolean
  /** Bytes that the program reads from descriptor 4; null: it has none. */
  readonly filter: Uint8Array | null
  /** What all that the child makes together may take; null where nothing can hold it to that. */
  readonly bounds: LaunchBounds | null
  /** What this machine lacks, each with what to do; empty: the sandbox is whole. */
  readonly missing: readonly string[]
}

interface LaunchBounds {
  readonly memoryBytes: number
  /** Threads and processes. */
  readonly maxTasks: number
  /** RLIMIT_NPROC holds the child to that. */
  readonly hasTaskLimit: boolean
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
/** Node.js has about twelve, of which eight grow with nothing; the rest are for native code. */
const MAX_TASKS = 64
/** The usual size. The hard limit is the same, so that native code cannot raise it: stacks are no data. */
const STACK_BYTES = 8 * 1024 * 1024
/** Queued signals and timers, which are memory of the kernel. */
const MAX_PENDING_SIGNALS = 1024
/**
 * Of addresses, where native code could touch as many as it likes for the sake of the page tables: 1 byte of those for 512.
 * WebAssembly reserves 10 GiB for each memory, and V8 some for itself.
 */
const NATIVE_ADDRESSES_GB = 16
const GUEST_ADDRESSES_GB = 256

/** The descriptor from which bubblewrap reads the filter of system calls. */
export const FILTER_FD = 4

export function planLaunch({ profile, program: script, broken }: LaunchOptions): Launch {
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
  const program = [process.execPath, ...nodeFlags(profile, files), script]
  if (process.platform !== 'linux') {
    missing.push(`namespaces and limits (there are none on ${process.platform})`)
    return { command: program, forks: false, filter: null, bounds: null, missing }
  }
  const bwrap = find('bwrap', 'namespaces without network, processes and files of the host')
  const prlimit = find('prlimit', 'limits of memory and CPU time')
  // Inside, where a user's tasks are counted from none. The kernel lets root start as many as it likes.
  const hasTaskLimit = bwrap !== null && prlimit !== null && process.getuid?.() !== 0
  const counted = hasTaskLimit ? [prlimit as string, `--nproc=${MAX_TASKS}`, '--', ...program] : program
  const filter = bwrap === null ? null : syscallFilter(process.arch)
  const walled =
    bwrap === null
      ? [...privileges(profile), ...counted]
      : [
          bwrap,
          ...namespaces(profile, {
            files,
            binaries: hasTaskLimit ? [prlimit as string] : [],
            hasFilter: filter !== null,
          }),
          '--',
          ...counted,
        ]
  const command = prlimit === null ? walled : [prlimit, ...limits(profile), '--', ...walled]
  const bounds = { memoryBytes: dataMb(profile) * 1024 * 1024, maxTasks: MAX_TASKS, hasTaskLimit }
  return { command, forks: bwrap !== null, filter, bounds, missing }
}

/** What is left where there is no bubblewrap. */
function privileges({ searchPath }: ChildProfile): string[] {
  const setpriv = findTool('setpriv', searchPath)
  return setpriv === null ? [] : [setpriv, '--no-new-privs', '--pdeathsig', 'KILL', '--']
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

function limits(profile: ChildProfile): string[] {
  const { runtimes } = profile
  const addresses = runtimes.every((runtime) => runtime === 'native') ? NATIVE_ADDRESSES_GB : GUEST_ADDRESSES_GB
  return [
    `--data=${dataMb(profile) * 1024 * 1024}`,
    `--stack=${STACK_BYTES}`,
    // Only native code can ask for addresses as it likes.
    ...(runtimes.includes('native') ? [`--as=${addresses * 1024 ** 3}`] : []),
    `--cpu=${CPU_SECONDS}`,
    '--core=0',
    '--fsize=0',
    `--nofile=${MAX_OPEN_FILES}`,
    `--sigpending=${MAX_PENDING_SIGNALS}`,
    '--msgqueue=0',
    '--memlock=0',
  ]
}

function dataMb({ memoryMb }: ChildProfile): number {
  return NODE_MB + codeRangeMb() + 3 * SEMI_SPACE_MB + memoryMb
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

interface NamespaceOptions {
  readonly files: readonly string[]
  /** Besides Node.js and the plugins' libraries. */
  readonly binaries: readonly string[]
  readonly hasFilter: boolean
}

function namespaces({ env, libraries }: ChildProfile, { files, binaries, hasFilter }: NamespaceOptions): string[] {
  const programs = [process.execPath, ...binaries]
  const linked = [...programs, ...libraries].flatMap((binary) => librariesOf(binary))
  const folders = files.map((file) => file.replace(/\/\*$/, ''))
  return bubblewrapArgs({
    readable: [...linked, ...programs, ...folders],
    env,
    filterFd: hasFilter ? FILTER_FD : null,
  })
}
