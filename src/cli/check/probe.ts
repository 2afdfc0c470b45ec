/**
 * Starts a probe (probe-worker.ts) and listens to it, with an end to its patience. In the process that checks a plugin.
 */
import { Worker } from 'node:worker_threads'
import type { ProbeSays, ProbeTask } from './probe/probe-protocol.js'

export interface ProbeEnd {
  /** It came to its end. */
  readonly isDone: boolean
  /** Where it was when it was given up, or died. */
  readonly stage: string
  readonly how: 'done' | 'hang' | 'exit' | 'memory'
  /** Its thread is still there: nothing ends it but the end of the process. */
  readonly isZombie: boolean
}

/** For the thread to be there; a busy machine takes its time. */
const BOOT_MS = 20_000
/** What the hooks, and destroy, may take in all. */
const HOOKS_MS = 60_000
const DESTROY_MS = 5_000
const TERMINATE_MS = 1_000
const MEMORY_MB = 512

/** Resolves when the probe is over, one way or another. */
export function runProbe(task: ProbeTask, hear: (said: ProbeSays) => void): Promise<ProbeEnd> {
  const { setupTimeoutMs: loadMs } = task
  const patience: Readonly<Record<string, number>> = {
    boot: BOOT_MS,
    import: loadMs,
    setup: loadMs,
    hooks: HOOKS_MS,
    destroy: DESTROY_MS,
  }
  return new Promise((resolve) => {
    const worker = new Worker(new URL('./probe/probe-worker.js', import.meta.url), {
      workerData: task,
      // What the plugin prints while it is looked at is no part of the report.
      stdout: true,
      stderr: true,
      resourceLimits: { maxOldGenerationSizeMb: MEMORY_MB },
    })
    worker.stdout.resume()
    worker.stderr.resume()
    let stage = 'boot'
    let isDone = false
    let timer: NodeJS.Timeout | undefined
    const watch = () => {
      clearTimeout(timer)
      timer = setTimeout(() => void giveUp(), patience[stage])
    }
    const end = (how: ProbeEnd['how'], isZombie = false) => {
      clearTimeout(timer)
      resolve({ isDone, stage, how: isDone ? 'done' : how, isZombie })
    }
    const giveUp = async () => {
      worker.removeAllListeners('exit')
      const isGone = await Promise.race([
        worker.terminate().then(() => true),
        new Promise<boolean>((late) => setTimeout(() => late(false), TERMINATE_MS)),
      ])
      if (!isGone) worker.unref()
      end('hang', !isGone)
    }
    worker.on('message', (said: ProbeSays) => {
      if (said.kind === 'stage') {
        stage = said.stage
        watch()
      } else {
        if (said.kind === 'closed' || said.kind === 'refused') isDone = true
        hear(said)
      }
    })
    worker.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ERR_WORKER_OUT_OF_MEMORY') end('memory')
    })
    worker.on('exit', () => end('exit'))
    watch()
  })
}
