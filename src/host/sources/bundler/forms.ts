/** What each form of bundle is made with. A bundling process only. */
import { basename, dirname, extname } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { BuildOptions } from 'esbuild'
import type { BundleJob } from './protocol.js'

/** What a bundle for guests may use: what QuickJS and V8 of the last years both know. */
const GUEST_TARGET = 'es2023'
/** Packages written for require find Node.js by it. */
const REQUIRE = "import { createRequire as $createRequire } from 'node:module'; const require = $createRequire('/');"

export function formOptions(job: BundleJob): BuildOptions {
  const common = { define: placeOf(job) }
  const node = { platform: 'node', target: `node${process.versions.node}` } as const
  switch (job.form) {
    case 'guest':
      return {
        platform: 'browser',
        target: GUEST_TARGET,
        charset: 'utf8',
        legalComments: 'none',
        define: { ...common.define, 'process.env.NODE_ENV': '"production"', global: 'globalThis' },
      }
    case 'process':
      return { ...common, ...node, banner: { js: REQUIRE }, legalComments: 'none' }
    case 'module':
      // The bundle stands elsewhere: stacks name the files that it was made of.
      return { ...common, ...node, sourcemap: 'inline', sourceRoot: pathToFileURL(`${dirname(job.path)}/`).href }
  }
}

/**
 * What `import.meta` says. A plugin that is confined is told the name of its file, and not where that is; of one that is
 * trusted each file says itself (placeText).
 */
function placeOf({ path, form, reach }: BundleJob): Record<string, string> {
  if (form !== 'guest' && reach === 'open') return OWN_NAMES
  const isTold = form === 'module'
  return {
    'import.meta.url': JSON.stringify(isTold ? pathToFileURL(path).href : `file:///${basename(path)}`),
    'import.meta.filename': JSON.stringify(isTold ? path : `/${basename(path)}`),
    'import.meta.dirname': JSON.stringify(isTold ? dirname(path) : '/'),
  }
}

const OWN_NAMES = {
  'import.meta.url': '$hookringUrl',
  'import.meta.filename': '$hookringFilename',
  'import.meta.dirname': '$hookringDirname',
}

/** A file that asks where it is, told so in front of its first line: its lines keep their numbers. */
export function knowingItsPlace(path: string, text: string): string {
  if (!text.includes('import.meta')) return text
  const start = /^#!.*\n/.exec(text)?.[0] ?? ''
  return `${start}${placeText(path)}${text.slice(start.length)}`
}

function placeText(path: string): string {
  const url = JSON.stringify(pathToFileURL(path).href)
  const [filename, folder] = [path, dirname(path)].map((each) => JSON.stringify(each))
  return `const $hookringUrl = ${url}, $hookringFilename = ${filename}, $hookringDirname = ${folder}; `
}

const LOADERS = { '.ts': 'ts', '.mts': 'ts', '.cts': 'ts', '.tsx': 'tsx', '.jsx': 'jsx', '.json': 'json' } as const

export type SourceLoader = (typeof LOADERS)[keyof typeof LOADERS] | 'js'

/** How esbuild reads a file of this name. */
export function loaderOf(path: string): SourceLoader {
  return LOADERS[extname(path) as keyof typeof LOADERS] ?? 'js'
}
