/**
 * How a bundling process is started. For plugins that are not trusted it has no environment, limits of memory where there is
 * prlimit, and where there is bubblewrap no network, no other processes, and of the host's files those that it is to bundle.
 * The server's thread only.
 */
import { realpathSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { bubblewrapArgs } from '../../../sandbox/bubblewrap.js'
import { librariesInUse } from '../../../sandbox/libraries.js'
import { findTool } from '../../../sandbox/tools.js'
import { packageFile } from '../../primitives/package-files.js'
import { engineFolders, homeFolder, packageFoldersAbove } from './engine-folders.js'
import type { SourceFolders } from './protocol.js'

export interface Launch {
  readonly command: string
  readonly args: readonly string[]
  readonly env: Readonly<NodeJS.ProcessEnv>
  /** The program runs in what the command forks. */
  readonly forks: boolean
  /** Where the tools stand that it is started by. */
  readonly tools: Readonly<Partial<Record<Tool, string>>>
}

/** What a process may see; processes of one view may take each other's jobs. Null: of trusted plugins, everything. */
export type View = SourceFolders | null

export type Tool = 'bwrap' | 'prlimit' | 'setpriv'

/** Of the program, and of esbuild, each: several times what the largest sources take (MAX_SOURCE_BYTES). */
const DATA_MB = 1024
/** One that nobody ends any more ends by itself after this much of a core. */
const CPU_SECONDS = 600
const MAX_OPEN_FILES = 256

/**
 * @param esbuildUrl of the module, as the engine finds it
 * @param broken tools, by their paths, that were tried and do not work here
 */
export async function planLaunch(view: View, esbuildUrl: string, broken: ReadonlySet<string>): Promise<Launch> {
  const program = [process.execPath, fileURLToPath(packageFile('host/sources/bundling-program.js'))]
  // Flags that the server was given in its environment are for the server.
  if (view === null) return launchOf(program, { ...process.env, NODE_OPTIONS: '' }, {})
  const tools: Partial<Record<Tool, string>> = {}
  const find = (tool: Tool): string | null => {
    const path = findTool(tool, process.env.PATH ?? '')
    if (path === null || broken.has(path)) return null
    tools[tool] = path
    return path
  }
  let command = program
  if (process.platform !== 'linux') return launchOf(command, {}, tools)
  const bwrap = find('bwrap')
  const setpriv = bwrap === null ? find('setpriv') : null
  if (bwrap !== null) {
    const readable = await readableFor(view, esbuildUrl)
    command = [bwrap, ...bubblewrapArgs({ readable, env: {}, filterFd: null }), '--', ...command]
  } else if (setpriv !== null) {
    command = [setpriv, '--no-new-privs', '--pdeathsig', 'KILL', '--', ...command]
  }
  const prlimit = find('prlimit')
  if (prlimit !== null) command = [prlimit, ...LIMITS, '--', ...command]
  return launchOf(command, {}, tools)
}

const LIMITS = [
  `--data=${DATA_MB * 1024 * 1024}`,
  `--cpu=${CPU_SECONDS}`,
  '--core=0',
  '--fsize=0',
  `--nofile=${MAX_OPEN_FILES}`,
]

function launchOf(command: readonly string[], env: NodeJS.ProcessEnv, tools: Launch['tools']): Launch {
  return { command: command[0] as string, args: command.slice(1), env, forks: tools.bwrap !== undefined, tools }
}

/** Folders before what stands in them: what is bound later lies above. */
async function readableFor(view: SourceFolders, esbuildUrl: string): Promise<string[]> {
  const esbuild = realpathSync.native(fileURLToPath(esbuildUrl))
  const { folders } = engineFolders()
  return [
    ...(await librariesInUse(process.execPath)),
    process.execPath,
    ...[...view.roots, ...view.packages, ...folders.packages, ...packageFoldersAbove(dirname(esbuild))],
    ...['node_modules', 'dist', 'package.json'].map((name) => join(homeFolder(), name)),
  ].sort()
}
