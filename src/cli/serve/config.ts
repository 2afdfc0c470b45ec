/**
 * Finds, loads and checks the config of `hookring serve`. What is wrong with it is said with the file and the path in it,
 * before anything is started.
 */
import { readFileSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseServeConfig, type ResolvedServeConfig } from '../../contracts/serve-config.js'
import { createPluginSources } from '../../host/sources/locate.js'
import { HookringError } from '../../index.js'
import { UsageError } from '../common/errors.js'
import { importPlugin } from '../common/plugin-modules.js'

export interface LoadedConfig {
  readonly file: string
  /** What relative paths in it are relative to. */
  readonly folder: string
  readonly config: ResolvedServeConfig
}

const NAMES = ['ts', 'mts', 'js', 'mjs', 'json'].map((extension) => `hookring.config.${extension}`)

/** @throws UsageError CONFIG_NOT_FOUND, HookringError CONFIG_INVALID, PLUGIN_IMPORT_FAILED, TYPESCRIPT_UNSUPPORTED */
export async function loadConfig(named: string | undefined): Promise<LoadedConfig> {
  const file = find(named)
  const value = file.endsWith('.json') ? readJson(file) : await importConfig(file)
  return { file, folder: dirname(file), config: parseServeConfig(value, file) }
}

function find(named: string | undefined): string {
  const isFile = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isFile() ?? false
  const found = (named === undefined ? NAMES : [named]).map((name) => resolve(name)).find(isFile)
  if (found !== undefined) return found
  throw new UsageError(
    'CONFIG_NOT_FOUND',
    named === undefined
      ? `there is no ${NAMES.join(', ')} here; name a config file`
      : `there is no file ${resolve(named)}`,
  )
}

function readJson(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'))
  } catch (cause) {
    throw new HookringError('CONFIG_INVALID', `${file} is no JSON: ${(cause as Error).message}`, { cause })
  }
}

let imports = 0

async function importConfig(file: string): Promise<unknown> {
  const sources = createPluginSources()
  try {
    // Node.js keeps modules by their URLs: read again, it is another one. What it imports itself stays as it was.
    imports += 1
    const url = await sources.locate(pathToFileURL(file))
    const { default: config } = await importPlugin(imports === 1 ? url : `${url}?read=${imports}`)
    if (config !== undefined) return config
    throw new HookringError('CONFIG_INVALID', `${file} must have the config as its default export`)
  } finally {
    await sources.close()
  }
}
