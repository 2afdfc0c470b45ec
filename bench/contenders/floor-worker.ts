/** The far side of contender `floor`: a thread parked in Atomics.wait that answers each doorbell with one. */
import { parentPort, workerData } from 'node:worker_threads'

const { words, PING, PONG } = workerData as { words: Int32Array; PING: number; PONG: number }
parentPort?.postMessage('ready')
for (let seen = 0; ; seen++) {
  while (Atomics.load(words, PING) === seen) Atomics.wait(words, PING, seen)
  Atomics.add(words, PONG, 1)
  Atomics.notify(words, PONG)
}
