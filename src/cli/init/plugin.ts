/** Adds a plugin to a project: a file with a hook for each hookpoint of its contract. */
import { access, mkdir, writeFile } from 'node:fs/promises'
import { dirname, join, relative, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { HookpointKind } from '../../contracts/index.js'
import { shippedContract } from '../common/contracts.js'
import { UsageError } from '../common/errors.js'
import { importPlugin } from '../common/plugin-modules.js'

export interface PluginRequest {
  readonly name: string
  /** The module that exports the contract, or the name of a contract that ships. */
  readonly contract: string
}

/** A contract, and how a plugin's file imports it. */
interface Exported {
  readonly name: string
  readonly hookpoints: Readonly<Record<string, { readonly kind: HookpointKind }>>
  /** The package, or the module's file. */
  readonly from: 'hookring/contracts' | { readonly file: string }
}

const ADVICE: Readonly<Record<HookpointKind, string>> = {
  gate: '// return reject(reason) to refuse',
  transform: '// return replace({ ...event }) to change it, reject(reason) to refuse',
  respond: '// return an answer, or nothing to leave it to others',
  observe: '// nobody waits for this one',
}

/** @returns the file. @throws UsageError OPTIONS_INVALID; HookringError PLUGIN_IMPORT_FAILED */
export async function makePlugin({ name, contract }: PluginRequest): Promise<string> {
  if (!/^[a-z0-9][a-z0-9._-]{0,63}$/.test(name)) {
    throw new UsageError('OPTIONS_INVALID', `${name}: a plugin's name has small letters, digits, dots and dashes`)
  }
  const exported = shippedExport(contract) ?? (await contractIn(contract))
  const { from } = exported
  const isTypeScript = typeof from === 'string' ? await isThere('tsconfig.json') : from.file.endsWith('.ts')
  const file = resolve('plugins', `${name}.${isTypeScript ? 'ts' : 'js'}`)
  if (await isThere(file)) throw new UsageError('OPTIONS_INVALID', `${relative('.', file)} is there already`)
  await mkdir(dirname(file), { recursive: true })
  await writeFile(file, sourceOf(name, exported, file))
  return relative('.', file)
}

function shippedExport(contract: string): Exported | undefined {
  const shipped = shippedContract(contract, './contract.js')
  if (shipped === undefined) return undefined
  return { name: shipped.exported, hookpoints: shipped.contract.hookpoints, from: 'hookring/contracts' }
}

async function contractIn(path: string): Promise<Exported> {
  const module = await importPlugin(pathToFileURL(resolve(path)).href)
  for (const [name, value] of Object.entries(module)) {
    const { hookpoints } = (value ?? {}) as { hookpoints?: unknown }
    if (typeof hookpoints === 'object' && hookpoints !== null) {
      return { name, hookpoints: hookpoints as Exported['hookpoints'], from: { file: path } }
    }
  }
  throw new UsageError('OPTIONS_INVALID', `${path} exports no contract; say which module does, with --contract`)
}

function sourceOf(name: string, { name: contract, hookpoints, from }: Exported, file: string): string {
  const kinds = new Set(Object.values(hookpoints).map(({ kind }) => kind))
  const results = [
    ...(kinds.has('gate') || kinds.has('transform') ? ['reject'] : []),
    ...(kinds.has('transform') ? ['replace'] : []),
  ]
  const imported = ['definePlugin', ...results].join(', ')
  const hooks = Object.entries(hookpoints).map(
    ([hookpoint, { kind }]) => `    ${hookpoint}(event, ctx) {\n      ${ADVICE[kind]}\n    },\n`,
  )
  const binding = contract === 'default' ? 'contract' : contract
  const taken = contract === 'default' ? binding : `{ ${binding} }`
  const specifier = typeof from === 'string' ? from : specifierFrom(file, from.file)
  const lines = [`import ${taken} from '${specifier}'`, `import { ${imported} } from 'hookring/plugin'`]
  // Packages come before files.
  if (typeof from !== 'string') lines.reverse()
  return `${lines.join('\n')}

export default definePlugin(${binding}, {
  name: '${name}',
  setup: () => ({
${hooks.join('')}  }),
})
`
}

function specifierFrom(file: string, contract: string): string {
  const path = relative(dirname(file), resolve(contract)).replaceAll('\\', '/').replace(/\.ts$/, '.js')
  return path.startsWith('.') ? path : `./${path}`
}

async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}

/** The module in which a project made by init has its contract. @throws UsageError OPTIONS_INVALID */
export async function usualContract(): Promise<string> {
  for (const file of ['contract.js', 'contract.ts']) if (await isThere(join('.', file))) return file
  throw new UsageError(
    'OPTIONS_INVALID',
    'there is no contract.js here; say which contract: --contract ./FILE.js, or --contract http for one that ships',
  )
}
