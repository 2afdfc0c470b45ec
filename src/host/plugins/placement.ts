/**
 * Decides a plugin's runtime and boundary, and whether they are enough for the trust that the operator has in it. Only
 * the operator decides about trust: nothing that a plugin says of itself counts. Pure; used when a plugin is registered.
 */
import { HookringError } from '../../contracts/errors.js'
import type { ResolvedPluginOptions } from '../../contracts/option-schemas.js'
import { type Boundary, CONFINING_RUNTIMES, type RuntimeName } from '../../contracts/runtimes.js'

export interface Placement {
  readonly runtime: RuntimeName
  readonly boundary: Boundary
}

const JAVASCRIPT_OR_TYPESCRIPT = /\.[cm]?[jt]s$/
const WASM = /\.wasm$/
const SHARED_LIBRARY = /\.(?:so(?:\.\d+)*|dylib|dll)$/

/** @throws HookringError UNTRUSTED_RUNTIME, OPTIONS_INVALID */
export function placementOf(options: ResolvedPluginOptions): Placement {
  const { from, trust, runtime, boundary = 'thread', sandbox, services = [] } = options
  const path = String(from).replace(/[?#].*$/, '')
  const chosen = runtime ?? runtimeByName(path, trust)
  if (chosen === 'exhook') return remotePlacement(options)
  checkKind(path, chosen)
  if (options.version !== undefined) {
    const message = `plugin ${path}: version is the protocol version of a remote provider, but runtime is ${chosen}`
    throw new HookringError('OPTIONS_INVALID', message, { path: ['version'] })
  }
  if (sandbox !== undefined && boundary !== 'process') {
    const message = `plugin ${path}: sandbox says how strict the process boundary is, but boundary is ${boundary}`
    throw new HookringError('OPTIONS_INVALID', message, { path: ['sandbox'] })
  }
  if (options.sourceRoots !== undefined && (chosen === 'wasm' || chosen === 'native')) {
    const message = `plugin ${path}: sourceRoots is for runtimes that import modules, but runtime is ${chosen}`
    throw new HookringError('OPTIONS_INVALID', message, { path: ['sourceRoots'] })
  }
  if (trust === 'untrusted' && boundary !== 'process' && !CONFINING_RUNTIMES.has(chosen)) throw refusal(path, chosen)
  if (services.length > 0 && (chosen !== 'module' || boundary !== 'thread')) {
    const message = `plugin ${path}: host services are for runtime module in a thread, not for ${chosen} in a ${boundary}`
    throw new HookringError('OPTIONS_INVALID', message, { path: ['services'] })
  }
  return { runtime: chosen, boundary }
}

/** A provider runs elsewhere, so options about files and boundaries do not apply. */
function remotePlacement(options: ResolvedPluginOptions): Placement {
  const { from, boundary = 'thread', workers = 1, partitionBy } = options
  const refuse = (option: keyof ResolvedPluginOptions, problem: string) =>
    new HookringError('OPTIONS_INVALID', `plugin ${String(from)}: ${problem}`, { path: [option] })
  if (boundary !== 'thread')
    throw refuse('boundary', 'a remote provider is a process of its own already: leave boundary out')
  for (const option of ['sandbox', 'integrity', 'sourceRoots'] as const) {
    if (options[option] !== undefined)
      throw refuse(option, `${option} is for code that runs here, not for a remote provider`)
  }
  if ((options.services ?? []).length > 0) throw refuse('services', 'a remote provider cannot call host services')
  if (workers > 1 && partitionBy === undefined) {
    throw refuse('workers', 'a provider must get the events of each client in order: use one worker, or partitionBy')
  }
  return { runtime: 'exhook', boundary }
}

function runtimeByName(path: string, trust: ResolvedPluginOptions['trust']): RuntimeName {
  if (WASM.test(path)) return 'wasm'
  if (SHARED_LIBRARY.test(path)) return 'native'
  return trust === 'untrusted' ? 'quickjs' : 'module'
}

/** A file's name says what is in it; a package's name does not. */
function checkKind(path: string, runtime: RuntimeName): void {
  const wanted = WASM.test(path) ? ['wasm'] : SHARED_LIBRARY.test(path) ? ['native'] : undefined
  const isWrong =
    wanted === undefined
      ? JAVASCRIPT_OR_TYPESCRIPT.test(path) && (runtime === 'wasm' || runtime === 'native')
      : !wanted.includes(runtime)
  if (!isWrong) return
  const message = `plugin ${path}: runtime ${runtime} cannot run such a file; leave runtime out, and the file's name decides`
  throw new HookringError('OPTIONS_INVALID', message, { path: ['runtime'] })
}

function refusal(path: string, runtime: RuntimeName): HookringError {
  const reason: Readonly<Record<RuntimeName, string>> = {
    module: 'a module can reach everything that the process can',
    compartment: 'a compartment in a thread can take memory and time that nothing gives back',
    native: 'a shared library can do anything to the process',
    quickjs: '',
    wasm: '',
    exhook: '',
  }
  const open = runtime === 'native' ? "boundary: 'process'" : "runtime: 'quickjs' (the default) or boundary: 'process'"
  return new HookringError(
    'UNTRUSTED_RUNTIME',
    `plugin ${path} is untrusted, and runtime ${runtime} in a thread is no boundary: ${reason[runtime]}. Choose ${open}`,
    { path: ['runtime'] },
  )
}
