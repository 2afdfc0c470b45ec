/**
 * Contender `floor`: two parked threads exchanging doorbells, without any data. What the operating system asks for
 * waking one thread, and then the other; nothing that parks both sides can be faster. One call in flight only.
 */
import { Worker } from 'node:worker_threads'
import type { Subject } from '../instruments.js'

const CONTINUE = { kind: 'continue' }

export async function open(): Promise<Subject<null>> {
  const words = new Int32Array(new SharedArrayBuffer(256))
  const [PING, PONG] = [0, 32] as const // 128 bytes apart: no false sharing
  const worker = new Worker(new URL('./floor-worker.js', import.meta.url), { workerData: { words, PING, PONG } })
  await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject))
  return {
    events: [null],
    rejects: [false],
    ask: async () => {
      const seen = Atomics.load(words, PONG)
      Atomics.add(words, PING, 1)
      Atomics.notify(words, PING)
      const wait = Atomics.waitAsync(words, PONG, seen)
      if (wait.async) await wait.value
      return CONTINUE
    },
    close: async () => {
      await worker.terminate()
    },
  }
}
