/**
 * The door of `ws`: its servers ask about each client before the handshake, and about each message before their handlers have
 * it. The package is not imported: what is used of it is written down here. Host's thread only.
 */
import { Buffer } from 'node:buffer'
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Hookpoints } from '../../contracts/index.js'
import type { AskingEngine } from './engine.js'
import { type HttpCounts, HttpHooks } from './hooks.js'
import { MessageLine } from './message-line.js'
import { type HttpOptions, type MessageOptions, parseMessageOptions } from './options.js'
import type { Outcome } from './outcomes.js'
import { bytesOf, type NodeRequest } from './request.js'
import { askUpgrade, refuseUpgrade, upgradeRequest } from './upgrades.js'

/** What is used of a `WebSocketServer` of ws 8. */
export interface WebSocketServerLike {
  handleUpgrade(
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    done: (socket: WebSocketLike, request: IncomingMessage) => void,
  ): void
  shouldHandle(request: IncomingMessage): boolean | Promise<boolean>
}

/** What is used of its sockets. */
export interface WebSocketLike {
  emit(event: string | symbol, ...args: never[]): boolean
  pause(): void
  resume(): void
  close(code?: number, reason?: string): void
}

export interface WebSocketOptions<Points extends Hookpoints = Hookpoints> extends HttpOptions<Points> {
  /** The hookpoint that messages are asked about, and their bounds. Left out: none is asked. */
  messages?: MessageOptions
}

export interface HookedSockets {
  readonly counts: Readonly<HttpCounts>
}

/** Close codes (RFC 6455, 7.4.1, and the registry of IANA). */
const POLICY_VIOLATION = 1008
const MESSAGE_TOO_BIG = 1009
const TRY_AGAIN_LATER = 1013
const MAX_CLOSE_REASON_BYTES = 123

/**
 * Puts an engine in front of a `WebSocketServer`, in any of its modes: `hookWebSockets(engine, new WebSocketServer({ server }))`.
 * A client that is refused gets an HTTP response and no socket. A message reaches the handlers of a socket, in its order, when
 * nobody objects to it; `close` comes behind the messages before it.
 *
 * @throws HookringError OPTIONS_INVALID, or HOOKPOINT_UNKNOWN, with the path of the option
 */
export function hookWebSockets<Points extends Hookpoints>(
  engine: AskingEngine<Points>,
  server: WebSocketServerLike,
  { messages = {}, ...options }: WebSocketOptions<Points> = {},
): HookedSockets {
  const hooks = new HttpHooks(engine, options, 'hookWebSockets')
  const bounds = parseMessageOptions(messages, 'hookWebSockets')
  const handleUpgrade = server.handleUpgrade.bind(server)
  let sockets = 0

  server.handleUpgrade = (message, socket, head, done) => {
    const request = upgradeRequest(hooks, message)
    const open = () =>
      handleUpgrade(message, socket, head, (opened, ...rest) => {
        sockets += 1
        guard(opened, { hooks, request, bounds, number: sockets })
        done(opened, ...rest)
      })
    if (!hooks.isSubscribed('onUpgrade') || !server.shouldHandle(message)) {
      open()
      return
    }
    void askUpgrade(hooks, request, socket).then((outcome) => {
      if (outcome.kind === 'allowed') open()
      else refuseUpgrade(hooks, outcome, { request, socket })
    })
  }
  return { counts: hooks.counts }
}

interface GuardOptions<Points extends Hookpoints> {
  readonly hooks: HttpHooks<Points>
  readonly request: NodeRequest
  readonly bounds: ReturnType<typeof parseMessageOptions>
  readonly number: number
}

/** Its messages go through a line, and what ends it comes behind them. What its user pauses stays paused. */
function guard<Points extends Hookpoints>(
  socket: WebSocketLike,
  { hooks, request, bounds, number }: GuardOptions<Points>,
): void {
  const emit = socket.emit.bind(socket) as (event: string | symbol, ...args: unknown[]) => boolean
  const pause = socket.pause.bind(socket)
  const resume = socket.resume.bind(socket)
  let isPausedByUser = false
  const line = new MessageLine({
    bounds,
    ask: (message, signal) => hooks.askMessage(message, signal),
    close: (outcome) => socket.close(...closeFrame(outcome)),
    pause,
    resume: () => {
      if (!isPausedByUser) resume()
    },
  })
  socket.pause = () => {
    isPausedByUser = true
    pause()
  }
  socket.resume = () => {
    isPausedByUser = false
    if (!line.isPaused) resume()
  }
  socket.emit = (event: string | symbol, ...args: unknown[]): boolean => {
    if (event === 'message') {
      if (line.length === 0 && !hooks.isSubscribed('onMessage')) return emit(event, ...args)
      const [data, isBinary] = args
      const parts = { request, socket: number, isBinary: isBinary === true, event: null, data: dataOf(data) }
      line.take(parts, () => emit(event, ...args))
      return true
    }
    if (event !== 'close' && event !== 'error') return emit(event, ...args)
    line.inTurn(() => emit(event, ...args))
    return true
  }
}

/** As ws has it by `binaryType`: a Buffer, its fragments, or an ArrayBuffer. */
function dataOf(data: unknown): Uint8Array<ArrayBuffer> {
  if (Array.isArray(data)) return Buffer.concat(data as Buffer[]) as Buffer<ArrayBuffer>
  return data instanceof ArrayBuffer ? new Uint8Array(data) : bytesOf(data as Uint8Array)
}

function closeFrame(outcome: Outcome): [code: number, reason: string] {
  if (outcome.kind === 'refused') return [POLICY_VIOLATION, cut(outcome.reason)]
  const isTooBig = outcome.kind === 'undecided' && outcome.status === 413
  return isTooBig
    ? [MESSAGE_TOO_BIG, 'the message is too large']
    : [TRY_AGAIN_LATER, 'the message could not be checked']
}

/** To whole characters. */
function cut(reason: string): string {
  const bytes = Buffer.from(reason)
  if (bytes.length <= MAX_CLOSE_REASON_BYTES) return reason
  let end = MAX_CLOSE_REASON_BYTES
  while (((bytes[end] as number) & 0xc0) === 0x80) end -= 1
  return bytes.toString('utf8', 0, end)
}
