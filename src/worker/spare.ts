/**
 * What a spare does while it waits, so that it need not when somebody else waits; `npm run bench -- recovery` shows it.
 * It runs once what every plugin's config runs (the first check of a schema compiles a good part of zod), and collects the
 * garbage of its boot, a quarter of its heap: left alone, the V8 of Node.js 20 does it while the plugins load. That of
 * Node.js 24 does not. The lane's thread, before it has plugins.
 */
import { Session } from 'node:inspector'

/** A lane that is needed at once hears of it sooner. */
const IDLE_MS = 10
/** V8's major version in Node.js 22: from there on it is left alone. */
const LEFT_ALONE_FROM = 12
const COLLECTS = Number.parseInt(process.versions.v8, 10) < LEFT_ALONE_FROM

/** @returns what to call when the spare is needed: it then has better things to do. */
export function prepareWhileIdle(warmUp: () => void, collects: boolean = COLLECTS): () => void {
  const timer = setTimeout(() => {
    warmUp()
    if (collects) collect()
  }, IDLE_MS)
  return () => clearTimeout(timer)
}

/** By the inspector: without a flag of Node.js, which a library has no business setting, there is no other way. */
function collect(): void {
  const session = new Session()
  try {
    session.connect()
  } catch {
    // A thread that may not. V8 does it in its own time.
    return
  }
  // Not from within the answer: ending its session there blocks the thread for ever.
  session.post('HeapProfiler.collectGarbage', () => setImmediate(() => session.disconnect()))
}
