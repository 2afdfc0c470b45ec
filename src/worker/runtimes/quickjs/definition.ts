/** What a guest says of its plugin, read: names and errors. Nothing that it says is believed to be well-formed. Pure. */
import type { PluginSpec } from '../../../contracts/control.js'
import { ERROR_CODES, type ErrorCode, formatPath, HookringError } from '../../../contracts/errors.js'
import type { Plugin } from '../../../plugin/index.js'
import { definitionIn, ownNameOf } from '../../../plugin/setup.js'

/** @throws HookringError PLUGIN_NO_EXPORT */
export function definedName(defined: string, { name, isNamed }: Pick<PluginSpec, 'name' | 'isNamed'>): string {
  const found = parsed(defined)
  if (!Array.isArray(found)) {
    if (found === undefined || found === 'it has no default export') definitionIn(undefined, name)
    throw new HookringError(
      'PLUGIN_NO_EXPORT',
      `plugin ${name} must export default definePlugin(...), but ${String(found)}`,
    )
  }
  return isNamed ? name : ownNameOf({ name: found[0] } as Plugin, name)
}

/** What a guest has thrown: an Error with its stack of the guest's, or the text of what was none. */
export function thrownBy(description: string | null): unknown {
  const found = description === null ? null : parsed(description)
  if (!Array.isArray(found)) return new Error('an error that cannot be described')
  const [name, message, stack] = found.map((part) => (typeof part === 'string' ? part : null))
  if (name === null) return message ?? ''
  const error = new Error(message ?? '')
  error.name = name ?? 'Error'
  error.stack = `${error.name}: ${error.message}\n${stack ?? ''}`.trimEnd()
  return error
}

interface SaidRefusal {
  readonly code?: unknown
  readonly message?: unknown
  readonly path?: unknown
}

/** @param refused what a guest's setup said instead of its hooks */
export function refusalOf(
  refused: unknown,
  name: string,
  hookpoints: readonly { readonly name: string }[],
): HookringError {
  const { code, message, path } = (typeof refused === 'object' && refused !== null ? refused : {}) as SaidRefusal
  const known: ErrorCode =
    typeof code === 'string' && Object.hasOwn(ERROR_CODES, code) ? (code as ErrorCode) : 'PLUGIN_SETUP_FAILED'
  const said = typeof message === 'string' ? message : `plugin ${name}: setup was refused`
  const parts = Array.isArray(path) ? path.map((part) => (typeof part === 'number' ? part : String(part))) : undefined
  if (known === 'HOOKPOINT_UNKNOWN') {
    const offered = hookpoints.map((point) => point.name).join(', ')
    return new HookringError(known, `${said}, which the contract does not have; it has ${offered}`)
  }
  if (parts === undefined) return new HookringError(known, said)
  return new HookringError(known, `plugin ${name}: ${formatPath(parts)}: ${said}`, { path: parts })
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
