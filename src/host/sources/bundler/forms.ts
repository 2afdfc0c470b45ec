/** What each form of bundle is made with. A bundling process only. */
import { basename } from 'node:path'
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
      return { ...common, ...node, sourcemap: 'inline' }
  }
}

/** A plugin that is confined is told the name of its file, and not where that is. */
function placeOf({ path, form, reach, runtime }: BundleJob): Record<string, string> {
  const isTold = form === 'module' || (form === 'process' && reach === 'open' && runtime === 'module')
  const url = isTold ? pathToFileURL(path).href : `file:///${basename(path)}`
  const filename = isTold ? path : `/${basename(path)}`
  return {
    'import.meta.url': JSON.stringify(url),
    'import.meta.filename': JSON.stringify(filename),
    ...(isTold ? {} : { 'import.meta.dirname': '"/"' }),
  }
}
