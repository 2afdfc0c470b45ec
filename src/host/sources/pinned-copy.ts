/**
 * Copies a file that is named by its hash, and hashes it on the way: what is loaded is what was checked. It is done in a
 * thread of its own, piece by piece, so that hundreds of megabytes cost the server's thread nothing.
 */
import { Worker } from 'node:worker_threads'
import { HookringError } from '../../contracts/errors.js'
import { packageFile } from '../primitives/package-files.js'
import { checkDigest, hashOf } from './integrity.js'
import type { CopyOrder, CopyResult } from './pinned-copy-worker.js'

/** @throws HookringError INTEGRITY_MISMATCH, OPTIONS_INVALID, PLUGIN_NOT_FOUND when it cannot be read or copied */
export async function copyPinned(from: string, to: string, integrity: string): Promise<void> {
  const order: CopyOrder = { from, to, algorithm: hashOf(integrity, from) }
  const result = await inThread(order)
  if ('problem' in result) throw new HookringError('PLUGIN_NOT_FOUND', `plugin ${from}: ${result.problem}`)
  checkDigest(result.digest, integrity, from)
}

function inThread(order: CopyOrder): Promise<CopyResult> {
  return new Promise((resolve) => {
    const worker = new Worker(packageFile('host/sources/pinned-copy-worker.js'), {
      workerData: order,
      env: {},
      execArgv: [],
    })
    worker.once('message', resolve)
    worker.once('error', (error) => resolve({ problem: `it could not be copied: ${error.message}` }))
    worker.once('exit', (code) => resolve({ problem: `it could not be copied: the thread ended with ${code}` }))
  })
}
