/**
 * One connection of a server: its handshake, its messages, its end. On the host's thread.
 *
 *   handshake -> admitting -> open -> ending -> closed
 *        \___________\___________________/
 *
 * `open` is told on the way into open, `close` on the way out of it: so once for each, whatever ends the connection.
 */
import { setMaxListeners } from 'node:events'
import type { Socket } from 'node:net'
import { HookringError } from '../../contracts/index.js'
import { type AdmissionOptions, admit } from './admission.js'
import type { Desk } from './desk.js'
import type { Flow } from './flow.js'
import {
  createFrameReader,
  FRAME,
  type Frame,
  frameOf,
  MAX_HANDSHAKE_BYTES,
  numberedFrameOf,
  readNumbered,
} from './frames.js'
import { errorPayload, messageOf, readHello, welcomePayload } from './handshake.js'
import type { CloseReason, Peer, Requests } from './requests.js'
import { createSender } from './sender.js'
import type { Refusal, ServerCounts } from './server-counts.js'
import type { Client } from './server-options.js'

export interface ServerConnection {
  /** Null until it is open. */
  readonly peer: Peer | null
  /** Ends what takes too long. */
  check(nowMs: number): void
  /** Takes no more messages, finishes those under way within the time, and ends. Resolves when the socket is closed. */
  close(graceMs: number): Promise<void>
  /** Ends now. */
  end(reason: CloseReason, message: string): void
}

export interface ConnectionOptions extends AdmissionOptions {
  readonly requests: Requests
  readonly desk: Desk
  readonly flow: Flow
  readonly counts: ServerCounts
  readonly now: () => number
  /** The socket is closed. */
  gone(): void
}

export function serveConnection(
  socket: Socket,
  client: Omit<Client, 'user'>,
  given: ConnectionOptions,
): ServerConnection {
  const { options, requests, desk, flow, counts, now } = given
  const reader = createFrameReader(MAX_HANDSHAKE_BYTES)
  const send = createSender(socket)
  const controller = new AbortController()
  // One for each request that is under way.
  setMaxListeners(0, controller.signal)
  let state: 'handshake' | 'admitting' | 'open' | 'ending' | 'closed' = 'handshake'
  let peer: Peer | null = null
  let outstanding = 0
  let isLeaving = false
  let isWaitingForRoom = false
  let sinceMs = now()
  let stalledSinceMs = Number.POSITIVE_INFINITY
  let whenIdle: (() => void) | null = null
  let whenClosed: (() => void)[] = []

  function isBlocked(): boolean {
    return outstanding >= options.maxOutstanding || flow.isFull || socket.writableNeedDrain
  }

  /** Reads on as far as it may. */
  function pump(): void {
    while (state === 'handshake' || (state === 'open' && !isLeaving)) {
      if (isBlocked()) {
        socket.pause()
        waitForRoom()
        noteStall()
        return
      }
      let frame: Frame | null
      try {
        frame = reader.next()
        if (frame !== null) take(frame)
      } catch (error) {
        violate(error)
        return
      }
      if (frame === null) {
        noteStall()
        socket.resume()
        return
      }
      stalledSinceMs = Number.POSITIVE_INFINITY
    }
  }

  function waitForRoom(): void {
    if (!flow.isFull || isWaitingForRoom) return
    isWaitingForRoom = true
    flow.whenRoom(() => {
      isWaitingForRoom = false
      pump()
    })
  }

  /** Whether it is the client who keeps things waiting, and since when. */
  function noteStall(): void {
    const isClients = socket.writableNeedDrain || (reader.isWithin && !isBlocked())
    if (!isClients) stalledSinceMs = Number.POSITIVE_INFINITY
    else if (stalledSinceMs === Number.POSITIVE_INFINITY) stalledSinceMs = now()
  }

  function take(frame: Frame): void {
    if (state === 'handshake') {
      if (frame.type !== FRAME.hello) {
        throw new HookringError('HANDSHAKE_INVALID', `the first frame must be a hello, it is of type ${frame.type}`)
      }
      const hello = readHello(frame)
      state = 'admitting'
      // What is sent ahead waits in the kernel.
      socket.pause()
      const { signal } = controller
      void admit({ hello, client, signal }, given).then((admitted) => {
        if (state !== 'admitting') return
        if (admitted === null) refuseCredentials()
        else open(admitted)
      })
      return
    }
    sinceMs = now()
    if (frame.type === FRAME.sync) {
      const { id, rest } = readNumbered(frame)
      void answer(peer as Peer, id, rest)
    } else if (frame.type === FRAME.async) {
      tell(peer as Peer, frame.payload)
    } else throw new HookringError('FRAME_INVALID', `a client sends no frames of type ${frame.type}`)
  }

  function violate(error: unknown): void {
    const { code, message } =
      error instanceof HookringError ? error : { code: 'FRAME_INVALID', message: messageOf(error) }
    if (state === 'open') finish('protocol', { code, message })
    else refuse('handshake', { code, message })
  }

  function refuseCredentials(): void {
    refuse('credentials', { code: 'CREDENTIALS_REFUSED', message: 'user and password were not accepted' })
  }

  function open(candidate: Peer): void {
    const { maxFrameBytes, maxOutstanding } = options
    const { handle, restricted, ticket } = candidate
    state = 'open'
    peer = candidate
    sinceMs = now()
    reader.maxBytes = maxFrameBytes
    desk.register(ticket, {
      handle,
      restricted,
      evaluate: (body) => requests.evaluate(candidate, body),
      disconnect: () => finish('server', { code: 'CONNECTION_CLOSED', message: 'the server closed the connection' }),
    })
    counts.opened += 1
    requests.opened(candidate)
    send(frameOf(FRAME.welcome, welcomePayload({ handle, restricted, maxFrameBytes, maxOutstanding })))
    pump()
  }

  async function answer(asking: Peer, id: number, body: Buffer): Promise<void> {
    outstanding += 1
    counts.sync += 1
    const said = await requests.answer(asking, body)
    if (state !== 'open') counts.abandoned += 1
    else if (said.kind === 'value') {
      counts.answered += 1
      send(numberedFrameOf(FRAME.response, id, said.body))
    } else {
      counts.failed += 1
      send(numberedFrameOf(FRAME.error, id, errorPayload(said.error)))
    }
    settle()
  }

  function tell(telling: Peer, body: Buffer): void {
    counts.async += 1
    const told = requests.tell(telling, body)
    if (told === false) counts.unreadable += 1
    if (typeof told === 'boolean') return
    outstanding += 1
    void told.then(settle)
  }

  function settle(): void {
    outstanding -= 1
    sinceMs = now()
    if (outstanding === 0) whenIdle?.()
    if (socket.isPaused()) pump()
    else noteStall()
  }

  function refuse(kind: Refusal, error: { code: string; message: string }): void {
    if (state !== 'handshake' && state !== 'admitting') return
    counts.refused[kind] += 1
    endSocket(kind === 'gone' ? null : frameOf(FRAME.refused, errorPayload(error)))
  }

  function finish(reason: CloseReason, goodbye: { code: string; message: string } | null): void {
    if (state !== 'open') {
      if (state === 'handshake' || state === 'admitting') {
        refuse(reason === 'server' ? 'limit' : 'gone', goodbye ?? { code: 'CONNECTION_CLOSED', message: 'gone' })
      }
      return
    }
    const closing = peer as Peer
    counts.closed[reason] += 1
    state = 'ending'
    // What is under way ends first, so that nothing of the connection comes after its close.
    controller.abort()
    requests.closed(closing, reason)
    desk.retire(closing.ticket)
    endSocket(goodbye === null ? null : frameOf(FRAME.goodbye, errorPayload(goodbye)))
  }

  function endSocket(last: Buffer | null): void {
    if (last !== null) send(last)
    state = 'ending'
    sinceMs = now()
    controller.abort()
    socket.end()
    // What still comes is thrown away: a socket closed with bytes unread takes the last frame with it.
    socket.resume()
  }

  socket.on('data', (chunk: Buffer) => {
    if (state !== 'handshake' && state !== 'admitting' && state !== 'open') return
    reader.feed(chunk)
    pump()
  })
  socket.on('drain', () => {
    noteStall()
    pump()
  })
  socket.on('end', () => finish('client', null))
  // 'close' follows.
  socket.on('error', () => {})
  socket.on('close', () => {
    finish('broken', null)
    state = 'closed'
    for (const told of whenClosed) told()
    whenClosed = []
    given.gone()
  })

  return {
    get peer() {
      return state === 'open' ? peer : null
    },
    check(nowMs) {
      const { handshakeTimeoutMs, stallTimeoutMs, idleTimeoutMs } = options
      if (state === 'handshake' || state === 'admitting') {
        if (nowMs - sinceMs < handshakeTimeoutMs) return
        refuse('timeout', { code: 'CONNECTION_TIMEOUT', message: `no handshake within ${handshakeTimeoutMs} ms` })
      } else if (state === 'ending') {
        if (nowMs - sinceMs >= stallTimeoutMs) socket.destroy()
      } else if (state === 'open') {
        if (nowMs - stalledSinceMs >= stallTimeoutMs) {
          const message = `a frame was not finished, or not taken, within ${stallTimeoutMs} ms`
          finish('stalled', { code: 'CONNECTION_TIMEOUT', message })
          // It does not take what it is sent: nothing is gained by waiting again.
          if (socket.writableNeedDrain) socket.destroy()
        } else if (idleTimeoutMs > 0 && outstanding === 0 && nowMs - sinceMs >= idleTimeoutMs) {
          finish('idle', { code: 'CONNECTION_TIMEOUT', message: `no message within ${idleTimeoutMs} ms` })
        }
      }
    },
    async close(graceMs) {
      if (state === 'closed') return
      const closed = new Promise<void>((resolve) => whenClosed.push(resolve))
      isLeaving = true
      socket.pause()
      if (state === 'open' && outstanding > 0) {
        let timer: NodeJS.Timeout | undefined
        await new Promise<void>((resolve) => {
          whenIdle = resolve
          timer = setTimeout(resolve, graceMs)
        })
        clearTimeout(timer)
      }
      finish('server', { code: 'CONNECTION_CLOSED', message: 'the server is shutting down' })
      // The peer's own end is awaited for a moment, and then no longer.
      const timer = setTimeout(() => socket.destroy(), Math.max(graceMs, 1))
      await closed
      clearTimeout(timer)
    },
    end: (reason, message) => finish(reason, { code: 'CONNECTION_CLOSED', message }),
  }
}
