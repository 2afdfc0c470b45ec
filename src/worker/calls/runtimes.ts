/** The runtimes by name. Each is imported when it is first needed: most lanes need one. A lane's thread, or its child process. */
import type { RuntimeName } from '../../contracts/runtimes.js'
import { moduleRuntime } from '../runtimes/module.js'
import type { Runtime } from '../runtimes/runtime.js'

export const RUNTIMES: Readonly<Record<RuntimeName, () => Promise<Runtime>>> = {
  module: async () => moduleRuntime,
  compartment: async () => (await import('../runtimes/compartment/index.js')).compartmentRuntime,
  quickjs: async () => (await import('../runtimes/quickjs/index.js')).quickjsRuntime,
  wasm: async () => (await import('../runtimes/wasm/index.js')).wasmRuntime,
  native: async () => (await import('../runtimes/native/index.js')).nativeRuntime,
  exhook: async () => (await import('../runtimes/exhook/index.js')).exhookRuntime,
}
