/**
 * Which runtime and boundary a plugin gets, and whether that will do for the trust that the operator has in it. Pure.
 * Used when a plugin is registered, on the host's thread. Trust is the operator's word alone: nothing that a plugin says
 * of itself is asked.
 */
import { HookringError } from '../contracts/errors.js'
import type { ResolvedPluginOptions } from '../contracts/options.js'
import { type Boundary, CONFINING_RUNTIMES, type RuntimeName } from '../contracts/runtimes.js'

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
  checkKind(path, chosen)
  if (sandbox !== undefined && boundary !== 'process') {
    const message = `plugin ${path}: sandbox says how strict the process boundary is, and boundary is ${boundary}`
    throw new HookringError('OPTIONS_INVALID', message, { path: ['sandbox'] })
  }
  if (trust === 'untrusted' && boundary !== 'process' && !CONFINING_RUNTIMES.has(chosen)) throw refusal(path, chosen)
  if (services.length > 0 && (chosen !== 'module' || boundary !== 'thread')) {
    const message = `plugin ${path}: host services reach plugins of runtime module in a thread, not ${chosen} in a ${boundary}`
    throw new HookringError('OPTIONS_INVALID', message, { path: ['services'] })
  }
  return { runtime: chosen, boundary }
}

function runtimeByName(path: string, trust: ResolvedPluginOptions['trust']): RuntimeName {
  if (WASM.test(path)) return 'wasm'
  if (SHARED_LIBRARY.test(path)) return 'native'
  return trust === 'untrusted' ? 'quickjs' : 'module'
}

/** A package's name says nothing of what is in it; a file's name does. */
function checkKind(path: string, runtime: RuntimeName): void {
  const wanted = WASM.test(path) ? ['wasm'] : SHARED_LIBRARY.test(path) ? ['native'] : undefined
  const isWrong =
    wanted === undefined
      ? JAVASCRIPT_OR_TYPESCRIPT.test(path) && (runtime === 'wasm' || runtime === 'native')
      : !wanted.includes(runtime)
  if (!isWrong) return
  const message = `plugin ${path}: runtime ${runtime} cannot run such a file; leave runtime out to have it chosen by the file's name`
  throw new HookringError('OPTIONS_INVALID', message, { path: ['runtime'] })
}

function refusal(path: string, runtime: RuntimeName): HookringError {
  const reason: Readonly<Record<RuntimeName, string>> = {
    module: 'a module can reach everything that the process can',
    compartment: 'a compartment in a thread can take memory and time that nothing gives back',
    native: 'a shared library can do anything to the process',
    quickjs: '',
    wasm: '',
  }
  const open = runtime === 'native' ? "boundary: 'process'" : "runtime: 'quickjs' (the default) or boundary: 'process'"
  return new HookringError(
    'UNTRUSTED_RUNTIME',
    `plugin ${path} is untrusted, and runtime ${runtime} in a thread is no boundary: ${reason[runtime]}. Choose ${open}`,
    { path: ['runtime'] },
  )
}
