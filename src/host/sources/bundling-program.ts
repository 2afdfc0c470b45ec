/**
 * The program of a bundling process: takes jobs from its standard input, one after the other, and answers each on a
 * descriptor of its own. It ends when its input does, and when it has lost its esbuild. The process's main thread.
 */
import { Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { HookringError } from '../../contracts/errors.js'
import { BundleFailure, bundle, type Esbuild, LostEsbuild } from './bundler/build.js'
import {
  ANSWER_FD,
  type BundleAnswer,
  type BundleJob,
  type BundleRefusal,
  encodeFrame,
  READY,
} from './bundler/protocol.js'
import { checkIntegrity } from './integrity.js'

const answers = new Socket({ fd: ANSWER_FD, readable: false, writable: true })
// Whoever asked has gone.
answers.on('error', () => process.exit(0))

const NOTHING = new Uint8Array()

function send(said: object, body: Uint8Array = NOTHING): void {
  for (const part of encodeFrame(said, body)) answers.write(part)
}

async function answer(esbuild: Esbuild, line: string): Promise<void> {
  try {
    const { contents, files } = await bundle(esbuild, JSON.parse(line) as BundleJob, checkIntegrity)
    send({ ok: true, files } satisfies BundleAnswer, contents)
  } catch (error) {
    const refusal = refusalOf(error)
    send(refusal)
    if (refusal.isFatal) answers.end(() => process.exit(1))
  }
}

function refusalOf(error: unknown): BundleRefusal {
  if (error instanceof HookringError) {
    const option = error.path?.[0]
    return {
      ok: false,
      code: error.code,
      message: error.message,
      ...(option === undefined ? {} : { option: String(option) }),
    }
  }
  if (error instanceof BundleFailure) {
    return { ok: false, code: 'PLUGIN_IMPORT_FAILED', message: error.message, problems: error.problems }
  }
  if (error instanceof LostEsbuild) {
    return { ok: false, code: 'PLUGIN_BUNDLE_TOO_LARGE', message: error.message, isFatal: true }
  }
  // What it says may quote anything.
  return { ok: false, code: 'PLUGIN_IMPORT_FAILED', message: 'the plugin cannot be bundled', isFatal: true }
}

const esbuild: Esbuild = await import('esbuild')
// It is asked for one bundle at a time, so the lines wait for each other.
const lines = createInterface({ input: process.stdin })
send(READY)
// Whoever asked has gone. This process leads a group of its own, which ends as a whole: esbuild may be at a pipe for ever.
process.stdin.once('end', () => process.kill(0, 'SIGKILL'))
for await (const line of lines) await answer(esbuild, line)
