/**
 * The child's end of the pipe, and how it waits on it, in one of two ways, as lanes do:
 *
 *   a read that blocks   while no plugin has anything of its own going on: lowest latency, no event loop
 *   a socket             once a hook's promise is pending, or a plugin keeps a timer or a handle: for good
 *
 * The child's main thread.
 */
import { readSync, writeSync } from 'node:fs'
import { Socket } from 'node:net'
import { createFrameReader, type Frame, HEAD_BYTES, type Head, PIPE_FD, writeHead } from './frames.js'

/** Many small events at once; a large one gets memory of its own. */
const CHUNK_BYTES = 256 * 1024

/** Takes a frame; a promise when what follows has to wait for it. */
export type TakeFrame = (frame: Frame) => void | Promise<void>

export interface SendContent extends Omit<Head, 'what' | 'bytes'> {
  readonly payload?: Uint8Array
}

export interface ChildPipe {
  /** Leaves at once: what runs next may never return. */
  send(what: number, content: SendContent): void
  /** Memory for a frame that is written in place: the payload from HEAD_BYTES on. Valid until the next frame is sent. */
  room(bytes: number): Buffer
  /** Sends what stands in `room`. */
  sendRoom(head: Head): void
  /** Serves until the other end closes, which ends the process. */
  serve(take: TakeFrame, needsLoop: () => boolean): Promise<void>
}

export function createChildPipe(): ChildPipe {
  let room = Buffer.allocUnsafeSlow(CHUNK_BYTES)
  let socket: Socket | null = null

  function write(bytes: number): void {
    // A copy: the room is written again before what the kernel did not take at once has left.
    if (socket !== null) socket.write(Buffer.from(room.subarray(0, bytes)))
    else for (let at = 0; at < bytes; ) at += writeSync(PIPE_FD, room, at, bytes - at)
  }

  function roomFor(bytes: number): Buffer {
    if (bytes > room.length) room = Buffer.allocUnsafeSlow(2 ** Math.ceil(Math.log2(bytes)))
    return room
  }

  function sendRoom(head: Head): void {
    writeHead(room, 0, head)
    write(head.bytes)
  }

  return {
    send(what, { payload, ...head }) {
      const bytes = HEAD_BYTES + (payload?.length ?? 0)
      const frame = roomFor(bytes)
      if (payload !== undefined) frame.set(payload, HEAD_BYTES)
      sendRoom({ ...head, what, bytes })
    },
    room: roomFor,
    sendRoom,
    async serve(take, needsLoop) {
      let work: Promise<void> | undefined
      const reader = createFrameReader(Number.POSITIVE_INFINITY, (frame) => {
        const isTaken = take(frame)
        if (isTaken !== undefined) work = isTaken
      })
      const chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES)
      do {
        const got = readSync(PIPE_FD, chunk, 0, chunk.length, null)
        if (got === 0) end()
        reader.push(chunk.subarray(0, got))
        if (work !== undefined) await work
        work = undefined
        // Promises, timers that are due and immediates that hooks left behind run before the process sleeps.
        await new Promise<void>((resolve) => setImmediate(resolve))
      } while (!needsLoop())
      socket = new Socket({ fd: PIPE_FD, readable: true, writable: true })
      socket.on('data', (bytes: Buffer) => reader.push(bytes))
      socket.on('close', end)
      socket.on('error', end)
    },
  }
}

/** The lane is gone, or has let go: nothing that runs here matters to anyone. */
function end(): void {
  process.kill(process.pid, 'SIGKILL')
}
