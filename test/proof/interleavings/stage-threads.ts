/**
 * A stage: one host's thread and two lanes' threads, on one build of the code under test. The program's main thread
 * starts it. Also the messages between the main thread and the host's thread.
 */
import { Worker } from 'node:worker_threads'
import type * as Layout from '../../../dist/ring/layout.js'
import type { SlotMap } from './atomics.js'
import { BOARD_BYTES, MOST_THREADS } from './board.js'
import type { Violation } from './forbidden.js'

/** Larger than the ring of any scenario. */
const RING_BYTES = 32 * 1024
/** Lanes with their later generations. */
const RINGS = 6

/**
 * A thread that does not come to its next point in this time is no longer under the schedule: its code loops without
 * Atomics.
 */
const MOST_SILENT_MS = 120_000

export interface StageThreadData {
  readonly board: SharedArrayBuffer
  readonly rings: readonly SharedArrayBuffer[]
  /** file: URL of the folder of the code under test. */
  readonly dist: string
  readonly thread: number
}

/** To the host's thread. */
export type StageRequest =
  | { readonly what: 'explore'; readonly scenario: string; readonly bound: number; readonly mostViolations: number }
  | { readonly what: 'replay'; readonly id: string }

/** From the host's thread. */
export type StageAnswer =
  | { readonly what: 'progress'; readonly schedules: number }
  | { readonly what: 'explored'; readonly result: ExploreResult }
  | { readonly what: 'replayed'; readonly violations: readonly Violation[]; readonly trace: readonly string[] }

export interface FoundViolation extends Violation {
  readonly scheduleId: string
}

export interface ExploreResult {
  readonly scenario: string
  readonly schedules: number
  /** Every schedule up to this many preemptions was run. */
  readonly bound: number
  readonly longest: number
  readonly violations: number
  /** The first violation that was found. */
  readonly found: FoundViolation | null
}

export interface StageHandle {
  explore(
    request: { scenario: string; bound: number; mostViolations: number },
    onProgress?: (schedules: number) => void,
  ): Promise<ExploreResult>
  replay(id: string): Promise<{ violations: readonly Violation[]; trace: readonly string[] }>
  close(): Promise<void>
}

/** @param dist file: URL of the folder of the code under test. */
export function openStage(dist: string): StageHandle {
  const board = new SharedArrayBuffer(BOARD_BYTES)
  const rings = Array.from({ length: RINGS }, () => new SharedArrayBuffer(RING_BYTES))
  let fail: (error: Error) => void = () => {}
  let hear: (answer: StageAnswer) => void = () => {}
  const workers = Array.from({ length: MOST_THREADS }, (_, thread) => {
    const file = new URL(thread === 0 ? './host-thread.js' : './lane-thread.js', import.meta.url)
    const worker = new Worker(file, { workerData: { board, rings, dist, thread } satisfies StageThreadData })
    worker.on('error', (error) => fail(error instanceof Error ? error : new Error(String(error))))
    worker.on('exit', (code) => fail(new Error(`thread ${thread} of the stage ended with ${code}`)))
    return worker
  })
  const host = workers[0] as Worker
  host.on('message', (answer: StageAnswer) => hear(answer))

  function ask<What extends StageAnswer['what']>(
    request: StageRequest,
    what: What,
    onProgress?: (schedules: number) => void,
  ): Promise<Extract<StageAnswer, { what: What }>> {
    return new Promise((resolve, reject) => {
      const patience = () =>
        setTimeout(() => fail(new Error(`the stage is silent: ${JSON.stringify(request)}`)), MOST_SILENT_MS)
      let timer = patience()
      fail = (error) => {
        clearTimeout(timer)
        reject(error)
      }
      hear = (answer) => {
        clearTimeout(timer)
        if (answer.what === 'progress') {
          timer = patience()
          onProgress?.(answer.schedules)
        } else if (answer.what === what) {
          resolve(answer as Extract<StageAnswer, { what: What }>)
        }
      }
      host.postMessage(request)
    })
  }

  return {
    explore: async (request, onProgress) => (await ask({ what: 'explore', ...request }, 'explored', onProgress)).result,
    replay: (id) => ask({ what: 'replay', id }, 'replayed'),
    async close() {
      fail(new Error('the stage is closed'))
      fail = () => {}
      await Promise.all(workers.map((worker) => worker.terminate()))
    },
  }
}

/** How slots stand in a ring, by its own drawing. */
export function mapSlots(layout: typeof Layout): Omit<SlotMap, 'slotsWord' | 'slotCount'> {
  return {
    slotWords: layout.SLOT_WORDS,
    stateWord: layout.STATE_WORD,
    stateBits: layout.STATE_BITS,
    stateMask: layout.STATE_MASK,
    claimed: layout.CLAIMED,
    recalled: layout.RECALLED,
  }
}
