/**
 * Which contract a plugin is benchmarked under: one that ships, one of the user's own, or the one that the plugin itself
 * was written for. In whichever process needs it.
 */
import * as shipped from '../../contracts/index.js'
import { createPluginSources } from '../../host/sources/locate.js'
import { HookringError } from '../../index.js'
import { importPlugin } from './plugin-modules.js'

type Contract = shipped.Contract

/**
 * `named`: `delivery`, `delivery@1`, or `./shop-contract.ts#shop`. Without it: that of the plugin at `pluginUrl`.
 *
 * @throws HookringError OPTIONS_INVALID, PLUGIN_NOT_FOUND, PLUGIN_IMPORT_FAILED, PLUGIN_NO_EXPORT
 */
export async function findContract(named: string | undefined, pluginUrl: string): Promise<Contract> {
  if (named === undefined) return contractOf(pluginUrl)
  const found = shippedContract(named, './file.ts#export')
  if (found !== undefined) return found.contract
  const [from, name = 'default'] = named.split('#') as [string, string?]
  const sources = createPluginSources()
  try {
    const exported = (await importPlugin(await sources.locate(from)))[name]
    if (isContract(exported)) return exported
    throw invalid(`${from} has no contract as its export ${name}; export one made by defineContract`)
  } finally {
    await sources.close()
  }
}

/** A contract of `hookring/contracts`, and the name by which it is imported. */
interface ShippedContract {
  readonly exported: string
  readonly contract: Contract
}

/**
 * `delivery` or `delivery@1`; undefined: a file is named. `ownForm` is how one of the user's own is named.
 *
 * @throws HookringError OPTIONS_INVALID
 */
export function shippedContract(named: string, ownForm: string): ShippedContract | undefined {
  const known = Object.entries(shipped as Record<string, unknown>).flatMap(([exported, value]) =>
    isContract(value) ? [{ exported, contract: value }] : [],
  )
  const found = known.find(({ contract: { name, id } }) => named === name || named === id)
  if (found !== undefined || /[/.#]/.test(named)) return found
  const names = known.map(({ contract: { id } }) => id).join(', ')
  throw invalid(`no contract ${named} ships with hookring (there is ${names}); for your own write ${ownForm}`)
}

async function contractOf(pluginUrl: string): Promise<Contract> {
  const { default: definition } = await importPlugin(pluginUrl)
  const { writtenFor, contract, name } = (definition ?? {}) as {
    writtenFor?: unknown
    contract?: { name: string; version: number }
    name?: string
  }
  if (isContract(writtenFor)) return writtenFor
  if (contract === undefined) {
    throw new HookringError('PLUGIN_NO_EXPORT', `plugin ${pluginUrl} must export default definePlugin(...)`)
  }
  // It brings an older hookring of its own, which does not say more.
  return findContract(`${contract.name}@${contract.version}`, pluginUrl).catch(() => {
    throw invalid(
      `plugin ${name} is written for ${contract.name}@${contract.version}: say where that is, with --contract`,
    )
  })
}

function isContract(value: unknown): value is Contract {
  const { id, hookpoints } = (value ?? {}) as { id?: unknown; hookpoints?: unknown }
  return typeof id === 'string' && typeof hookpoints === 'object' && hookpoints !== null
}

function invalid(message: string): HookringError {
  return new HookringError('OPTIONS_INVALID', `--contract: ${message}`)
}
