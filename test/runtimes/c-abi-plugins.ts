/**
 * Plugins behind the C ABI for tests: compiled from their C source where compilers are installed, and engines of
 * delivery@1 that run them. WebAssembly that is part of the tree needs no compiler.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createHookEngine, type EngineOptions, type HookEngine, type PluginOptions } from 'hookring'
import { delivery } from 'hookring/contracts'
import { onTestFinished } from 'vitest'
import { type LoggedLine, recordingLogger } from '../support/recording-logger.js'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const SDK = join(ROOT, 'sdk', 'c')

export const EXAMPLES = {
  limiter: { source: join(SDK, 'examples/payload-limiter.c'), wasm: join(SDK, 'examples/payload-limiter.wasm') },
  auditor: { source: join(SDK, 'examples/login-auditor.c'), wasm: join(SDK, 'examples/login-auditor.wasm') },
}
export const ACTS = { source: join(ROOT, 'test/runtimes/c/acts.c'), wasm: join(ROOT, 'test/runtimes/c/acts.wasm') }

/** The acts of c/acts.c. */
export const ACT = {
  continues: 0,
  rejects: 1,
  rejectsWithoutReason: 2,
  reasonOutside: 3,
  reasonUnterminated: 4,
  traps: 5,
  readsOutside: 6,
  dividesByZero: 7,
  overflowsStack: 8,
  callsNothing: 9,
  callsAnotherType: 10,
  loops: 11,
  blocksMs: 12,
  scribbles: 13,
  growsPages: 14,
  shows: 15,
  returns: 16,
  longReason: 17,
  badUtf8: 18,
  counts: 19,
  logs: 20,
  trapsInErrorMessage: 21,
  trapsAtShutdown: 22,
  trapsAtDestroy: 23,
  loopsAtDestroy: 24,
  showsLast: 25,
  emptyReason: 26,
  logsOutside: 27,
  readsClock: 28,
} as const
export type Act = keyof typeof ACT

/** The build lines of the SDK's README: what it tells users is what tests compile with. */
const LINES = readFileSync(join(SDK, 'README.md'), 'utf8').split('\n')
export const WASM_LINES = LINES.filter((line) => line.startsWith('clang --target=wasm32 '))
export const LIBRARY_LINES = LINES.filter((line) => line.startsWith('cc '))

/** Null: it is there; else what to say of tests that need it. */
export function missing(...tools: ('clang' | 'wasm-ld' | 'cc' | 'rustc' | 'koffi')[]): string | null {
  const absent = tools.filter((tool) => !isInstalled(tool))
  return absent.length === 0 ? null : `${absent.join(', ')} not installed`
}

/** The name of a suite that is skipped says why. */
export const because = (name: string, reason: string | null) => (reason === null ? name : `${name} (${reason})`)

const found = new Map<string, boolean>()
function isInstalled(tool: string): boolean {
  const known = found.get(tool)
  if (known !== undefined) return known
  const isThere = tool === 'koffi' ? hasKoffi() : spawnSync(tool, ['--version']).status === 0
  found.set(tool, isThere)
  return isThere
}

function hasKoffi(): boolean {
  const { status } = spawnSync(process.execPath, ['--input-type=module', '-e', 'await import("koffi")'], { cwd: ROOT })
  return status === 0
}

export function clangMajor(): string {
  return /clang version (\d+)/.exec(spawnSync('clang', ['--version'], { encoding: 'utf8' }).stdout)?.[1] ?? 'unknown'
}

export interface Build {
  readonly source: string
  /** -D for each. */
  readonly defines?: Readonly<Record<string, string | number>>
  /** Into a folder of its own: the linker takes one path for one library. */
  readonly name?: string
}

export function compileWasm(build: Build): string {
  return compile(WASM_LINES[0] ?? '', build, 'wasm')
}

export function compileLibrary(build: Build): string {
  return compile(LIBRARY_LINES[0] ?? '', build, 'so')
}

function compile(line: string, { source, defines = {}, name }: Build, extension: string): string {
  const output = join(scratch(), `${name ?? basename(source, '.c')}.${extension}`)
  const [command = '', ...words] = line.split(' ')
  const args = words.map((word, at) => (words[at - 1] === '-o' ? output : word.endsWith('.c') ? source : word))
  const all = [...args, ...Object.entries(defines).map(([key, value]) => `-D${key}=${value}`)]
  const { status, stderr } = spawnSync(command, all, { cwd: SDK, encoding: 'utf8' })
  if (status !== 0) throw new Error(`${command} ${all.join(' ')}\n${stderr}`)
  return output
}

const folders: string[] = []
process.once('exit', () => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})

/** A folder that is gone when the tests are over. */
export function scratch(): string {
  const folder = mkdtempSync(join(tmpdir(), 'hookring-c-'))
  folders.push(folder)
  return folder
}

type Delivery = typeof delivery.hookpoints

export interface Scene {
  readonly engine: HookEngine<Delivery>
  readonly hooks: HookEngine<Delivery>['hooks']
  readonly lines: readonly LoggedLine[]
}

export interface SceneOptions extends Omit<EngineOptions<Delivery>, 'contract' | 'logger' | 'plugins'> {
  readonly plugins: readonly PluginOptions[]
}

export async function open(options: SceneOptions, { keep = false } = {}): Promise<Scene> {
  const logger = recordingLogger()
  const engine = await createHookEngine({
    quarantine: false,
    spares: 0,
    // Ample, as in the lab: where time is to run out, a test says so.
    timeoutMs: 1_000,
    ...options,
    plugins: [...options.plugins],
    contract: delivery,
    logger,
  })
  if (!keep) onTestFinished(() => engine.close())
  return { engine, hooks: engine.hooks, lines: logger.lines }
}

/** A message that tells the plugin of c/acts.c what to do. */
export function message(act: Act, argument = 0) {
  return {
    senderIdentity: new Uint8Array(32).fill(1),
    recipientKey: new Uint8Array(32).fill(2),
    channelId: new Uint8Array(16).fill(3),
    payloadLen: argument,
    seq: ACT[act],
  }
}

export const hex = (bytes: Uint8Array | null) =>
  bytes === null ? 'null/0' : `${Buffer.from(bytes).toString('hex')}/${bytes.length}`
