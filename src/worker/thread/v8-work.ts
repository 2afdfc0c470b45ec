/**
 * Tells of what V8 does for a plugin in the background and comes back to it in a turn of the event loop. Node.js gives it no
 * async id, so BackgroundWatch does not see it. The lane's thread, before plugins of runtime `module` are imported.
 */
import { noticeForeignWaits } from '../../ring/foreign-waits.js'

type Call = (this: unknown, ...args: unknown[]) => unknown

const OF_WEBASSEMBLY = ['compile', 'instantiate', 'compileStreaming', 'instantiateStreaming'] as const

/** @param own the lane's own memory: that the lane waits for it is nothing of a plugin's */
export function noticeV8Work(notice: () => void, own: SharedArrayBuffer): void {
  noticeForeignWaits(notice, own)
  const { WebAssembly: assembly = {} } = globalThis as { WebAssembly?: object }
  for (const name of OF_WEBASSEMBLY) {
    if (name in assembly) wrap(assembly, name, () => !isOfNode() && notice())
  }
}

/** What Node.js compiles for itself (its parser of CommonJS, its HTTP client) it waits for by other means. */
function isOfNode(): boolean {
  return String(new Error().stack).includes('node:internal/deps/')
}

function wrap(owner: object, name: string, before: () => unknown): void {
  const original = Reflect.get(owner, name) as Call
  const { [name]: value } = {
    [name](this: unknown, ...args: unknown[]) {
      before()
      return original.apply(this, args)
    },
  }
  Object.defineProperty(owner, name, { value, writable: true, configurable: true, enumerable: false })
}
