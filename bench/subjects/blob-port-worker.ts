/** The worker of case `sizes` for postMessage. */
import { parentPort } from 'node:worker_threads'
import type { Blob } from '../plugins/blob-contract.js'
import check from './blob-worker.js'

parentPort?.on('message', ({ id, event }: { id: number; event: Blob }) =>
  parentPort?.postMessage({ id, answer: check(event) }),
)
