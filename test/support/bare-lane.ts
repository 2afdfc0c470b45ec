/**
 * A lane's thread as it ships, and a host for it that is no more than a ring: for tests of what crosses between the two,
 * from any sequence on.
 */
import { Worker } from 'node:worker_threads'
import { onTestFinished } from 'vitest'
import { createEncoder } from '../../dist/contracts/codec/encode.js'
import { codecMemory } from '../../dist/contracts/codec/memory.js'
import { createReader } from '../../dist/contracts/codec/read.js'
import type { HookpointSpec, LaneSpec } from '../../dist/contracts/control.js'
import { LaneLink } from '../../dist/host/lanes/lane-link.js'
import { monotonicMs } from '../../dist/ring/clock.js'
import { Extents } from '../../dist/ring/extents.js'
import { allocateRing, BROKEN, HostRing, NOTHING } from '../../dist/ring/host-ring.js'
import * as layout from '../../dist/ring/layout.js'
import { fixture } from './lab.js'

export interface BareLaneOptions {
  readonly spec: Pick<LaneSpec, 'contract' | 'hookpoints' | 'plugins'> & Partial<LaneSpec>
  readonly slotCount: number
  readonly firstSequence: number
}

export interface Reply {
  /** One of the OUTCOME_ values of the layout. */
  readonly outcome: number
  /** A reject's reason, or an error's text. */
  readonly message: string
  /** The replacement or the answer, checked against the whole schema; undefined without one. */
  readonly value: unknown
}

const LARGEST_BYTES = 1024 * 1024
const REPLY_ROOM = 64 * 1024
const TIMEOUT_MS = 10_000

export async function openBareLane({ spec, slotCount, firstSequence }: BareLaneOptions) {
  const geometry = { slotCount, arenaBytes: 8 * LARGEST_BYTES }
  const ring = new HostRing(geometry, allocateRing(geometry), firstSequence)
  const extents = new Extents({
    baseByte: ring.arenaByte,
    arenaBytes: geometry.arenaBytes,
    largestBytes: LARGEST_BYTES,
  })
  const memory = codecMemory(ring.buffer)
  const points = spec.hookpoints.map((point) => ({
    ...point,
    encoder: createEncoder(point.plan),
    replyReader: createReader(point.kind === 'respond' ? (point.replyPlan as HookpointSpec['plan']) : point.plan),
  }))
  const free = Array.from({ length: slotCount }, (_, slot) => slot)
  const waiting = new Map<number, (slot: number) => void>()

  const link = new LaneLink()
  const worker = new Worker(fixture('lab/lane-thread.mjs'), {
    workerData: {
      ...link.ports,
      child: null,
      contract: `${spec.contract.name}@${spec.contract.version}`,
      compiler: null,
    },
    transferList: Object.values(link.ports),
  })
  onTestFinished(async () => {
    link.close()
    await worker.terminate()
  })
  // A thread that throws before it has booted would leave the test waiting.
  const failed = new Promise<never>((_, reject) => worker.once('error', reject))
  await Promise.race([link.booted, failed])
  const loaded = await link.load(
    {
      lane: 'bare',
      buffer: ring.buffer,
      concurrency: 64,
      wait: 'adaptive',
      spinUs: 50,
      shutdownTimeoutMs: 1_000,
      maxServiceBytes: 1_000,
      ...spec,
    } as LaneSpec,
    TIMEOUT_MS,
  )
  if (!loaded.ok) throw new Error(loaded.message)
  link.onSent(() => ring.announceControl())

  /** Submits one call; its reply comes by `drain`. */
  function ask(pointIndex: number, event: unknown): Promise<Reply> | null {
    const point = points[pointIndex]
    const slot = free.at(-1)
    if (point === undefined || slot === undefined) return null
    const room = 256 * 1024
    const bytes = layout.extentBytes(room, 0, REPLY_ROOM, 2)
    const extentAt = extents.take(bytes)
    if (extentAt === -1) return null
    free.pop()
    const eventBytes = point.encoder.encode(memory, extentAt, extentAt + room, event)
    if (eventBytes < 0) throw new Error('the event is too large for this test')
    ring.submit(slot, {
      hookpoint: pointIndex,
      mask: 1,
      extentAt,
      eventBytes,
      traceBytes: 0,
      replyRoom: REPLY_ROOM,
    })
    ring.setDeadline(slot, monotonicMs() + TIMEOUT_MS)
    return new Promise((resolve) => {
      waiting.set(slot, () => {
        resolve(read(pointIndex, slot, layout.repliesAt(extentAt, eventBytes, 0)))
        extents.give(extentAt, bytes)
        free.push(slot)
      })
    })
  }

  function read(pointIndex: number, slot: number, repliesAt: number): Reply {
    const word = (at: number) => ring.slotWord(slot, at)
    const area = word(layout.REPLACED_AREA_WORD)
    const outcome = word(layout.OUTCOME_WORD)
    const messageAt = ring.messageAt(slot)
    const message = memory.buffer.toString('utf8', messageAt, messageAt + word(layout.MESSAGE_BYTES_WORD))
    const isAnswer = outcome === layout.OUTCOME_RESPOND
    if (!isAnswer && area === 0) return { outcome, message, value: undefined }
    const at = layout.replyAt(repliesAt, REPLY_ROOM, isAnswer ? 0 : area - 1)
    const bytes = isAnswer ? word(layout.ANSWER_BYTES_WORD) : word(layout.REPLACED_BYTES_WORD + area - 1)
    const copy = codecMemory(memory.u8.slice(at, at + bytes).buffer as ArrayBuffer)
    const checked = points[pointIndex]?.replyReader.parse(copy, 0, bytes)
    if (checked?.ok !== true)
      throw new Error(`the reply of ${points[pointIndex]?.name} is refused: ${checked?.problem}`)
    return { outcome, message, value: checked.value }
  }

  /** Takes what has come back; how many. */
  function drain(): number {
    for (let taken = 0; ; taken += 1) {
      const slot = ring.takeCompletion()
      if (slot === NOTHING) return taken
      if (slot === BROKEN || !ring.release(slot)) throw new Error('the lane broke the protocol')
      waiting.get(slot)?.(slot)
      waiting.delete(slot)
    }
  }

  return {
    ring,
    ask,
    /** Makes calls visible, and waits until every call has come back. */
    async settle(): Promise<void> {
      ring.publish()
      const end = Date.now() + TIMEOUT_MS
      while (waiting.size > 0) {
        if (drain() > 0) continue
        if (Date.now() > end) throw new Error(`${waiting.size} calls did not come back`)
        const sleep = ring.park()
        if (sleep !== null) await Promise.race([sleep, new Promise((resolve) => setTimeout(resolve, 100))])
      }
      ring.unpark()
    },
    stop: () => link.stop(TIMEOUT_MS),
  }
}
