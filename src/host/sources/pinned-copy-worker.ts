/** The thread that copies and hashes a file. See pinned-copy.ts. */
import { createHash } from 'node:crypto'
import { closeSync, constants, fstatSync, openSync, readSync, writeSync } from 'node:fs'
import { parentPort, workerData } from 'node:worker_threads'
import type { HashAlgorithm } from './integrity.js'

export interface CopyOrder {
  readonly from: string
  readonly to: string
  readonly algorithm: HashAlgorithm
}

export type CopyResult = { readonly digest: Uint8Array } | { readonly problem: string }

const PIECE_BYTES = 1024 * 1024

function copy({ from, to, algorithm }: CopyOrder): CopyResult {
  // A pipe is not waited for.
  const source = openSync(from, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    if (!fstatSync(source).isFile()) return { problem: 'it is not a file' }
    return { digest: copyAll(source, to, algorithm) }
  } finally {
    closeSync(source)
  }
}

function copyAll(source: number, to: string, algorithm: HashAlgorithm): Uint8Array {
  const target = openSync(to, 'w')
  try {
    const hash = createHash(algorithm)
    const piece = Buffer.alloc(PIECE_BYTES)
    for (let bytes = readSync(source, piece); bytes > 0; bytes = readSync(source, piece)) {
      const read = piece.subarray(0, bytes)
      hash.update(read)
      for (let written = 0; written < bytes; ) written += writeSync(target, read, written)
    }
    return new Uint8Array(hash.digest())
  } finally {
    closeSync(target)
  }
}

try {
  parentPort?.postMessage(copy(workerData as CopyOrder))
} catch (error) {
  parentPort?.postMessage({ problem: (error as Error).message } satisfies CopyResult)
}
