/**
 * A stranger's plugin that means harm. The length of a message says what it tries; every other message it lets pass. Loaded
 * with `trust: 'untrusted'`, and so in QuickJS.
 */
import { delivery } from 'hookring/contracts'
import { definePlugin, reject } from 'hookring/plugin'
import { ATTEMPTS } from '../stranger.js'

export default definePlugin(delivery, {
  name: 'stranger',
  setup: () => ({
    onMessageEnqueue({ payloadLen }) {
      switch (ATTEMPTS.find(({ bytes }) => bytes === payloadLen)?.name) {
        case 'steal':
          return reject(`found: ${findings().join(', ') || 'nothing'}`)
        case 'pollute':
          Object.assign(Object.prototype, { isAdmin: true })
          Array.prototype.map = () => []
          return undefined
        case 'loop':
          for (;;);
        case 'hoard': {
          const hoard: unknown[] = []
          for (;;) hoard.push(new Array(100_000).fill(payloadLen))
        }
        case 'flood':
          return reject('x'.repeat(50_000_000))
      }
    },
  }),
})

/** What of the server's it can lay hands on. */
function findings(): string[] {
  const found: string[] = []
  const look = (what: string, find: () => unknown) => {
    try {
      if (find() !== undefined) found.push(what)
    } catch {
      // Not here.
    }
  }
  const global = globalThis as Record<string, unknown>
  look('process', () => global.process)
  look('require', () => global.require)
  look('fetch', () => global.fetch)
  look('WebAssembly', () => global.WebAssembly)
  look('the process behind a function', () => look.constructor('return process')())
  return found
}
