/** The runtimes by name. Each is imported when it is first needed: most lanes need one. A lane's thread, or its child process. */
import type { RuntimeName } from '../../contracts/runtimes.js'
import { moduleRuntime } from './module.js'
import type { Runtime } from './runtime.js'

export const RUNTIMES: Readonly<Record<RuntimeName, () => Promise<Runtime>>> = {
  module: async () => moduleRuntime,
  compartment: async () => (await import('./compartment/index.js')).compartmentRuntime,
  quickjs: async () => (await import('./quickjs/index.js')).quickjsRuntime,
  wasm: async () => (await import('./wasm/index.js')).wasmRuntime,
  native: async () => (await import('./native.js')).nativeRuntime,
  exhook: async () => (await import('./exhook/index.js')).exhookRuntime,
}
