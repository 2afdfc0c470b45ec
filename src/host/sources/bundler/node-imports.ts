/** What is left of Node.js in a bundle for a runtime that has none of it, and the imports that lead there. Pure. */
import { dirname, relative, resolve } from 'node:path'
import type { Metafile } from 'esbuild'
import { HookringError } from '../../../contracts/errors.js'
import { displayName } from './own-imports.js'
import type { BundleJob } from './protocol.js'

/** @throws HookringError PLUGIN_IMPORT_FAILED when something of Node.js is left in the bundle */
export function refuseNode({ path, runtime }: BundleJob, { inputs, outputs }: Metafile): void {
  const output = Object.values(outputs)[0]
  const left = output?.imports.find((imported) => imported.external)
  if (output === undefined || left === undefined) return
  const chain = [...chainTo(inputs, left.path, dirname(path)), left.path].join(' -> ')
  throw new HookringError(
    'PLUGIN_IMPORT_FAILED',
    `plugin ${path} imports ${left.path}: ${chain}; ${runtime} has no Node.js modules: leave it out, or run the plugin as a module behind the process boundary`,
  )
}

/** The files that lead from the plugin to the import, shortest way first. */
function chainTo(inputs: Metafile['inputs'], wanted: string, folder: string): string[] {
  const imported = new Set(Object.values(inputs).flatMap(({ imports }) => imports.map(({ path }) => path)))
  const first = Object.keys(inputs).find((input) => !imported.has(input)) ?? Object.keys(inputs)[0] ?? ''
  const from = new Map<string, string>([[first, '']])
  // The map grows while it is walked: breadth first.
  for (const file of from.keys()) {
    for (const { path, external } of inputs[file]?.imports ?? []) {
      if (external && path === wanted) return wayTo(file, from).map((name) => shortName(name, folder))
      if (!from.has(path)) from.set(path, file)
    }
  }
  return [shortName(first, folder)]
}

function wayTo(file: string, from: ReadonlyMap<string, string>): string[] {
  const way: string[] = []
  for (let at = file; at !== ''; at = from.get(at) ?? '') way.unshift(at)
  return way
}

/** Files that we have named ourselves have short names; the others are paths from the plugin's folder. */
function shortName(input: string, folder: string): string {
  if (input.startsWith('plugin:')) return displayName(input.slice('plugin:'.length))
  const name = relative(folder, resolve(folder, input)).replaceAll('\\', '/')
  return name.replace(/^.*node_modules\//, '')
}
