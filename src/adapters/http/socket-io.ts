/**
 * The door of Socket.IO: its server asks about each client before the handshake, whichever transport it begins with, and about
 * each event before the handlers have it. The package is not imported: what is used of it is written down here. Host's
 * thread only.
 */
import { type IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { type Hookpoints, HookringError } from '../../contracts/index.js'
import type { AskingEngine } from './engine.js'
import { GoneClient } from './gone-client.js'
import { HttpHooks } from './hooks.js'
import { MessageLine } from './message-line.js'
import { writeReply } from './node-response.js'
import { parseMessageOptions } from './options.js'
import { bytesOf, type NodeRequest } from './request.js'
import { askUpgrade, refuseUpgrade, upgradeRequest } from './upgrades.js'
import type { HookedSockets, WebSocketOptions } from './web-sockets.js'

/** What is used of a `Server` of Socket.IO 4. */
export interface SocketIoServerLike {
  readonly engine: { use(middleware: EngineMiddleware): void } | undefined
  use(middleware: (socket: SocketLike, next: () => void) => void): unknown
  on(event: 'new_namespace', listener: (namespace: NamespaceLike) => void): unknown
}

interface NamespaceLike {
  use(middleware: (socket: SocketLike, next: () => void) => void): unknown
}

/** What is used of its sockets. */
export interface SocketLike {
  readonly request: IncomingMessage
  use(middleware: (event: unknown[], next: () => void) => void): unknown
  disconnect(close: boolean): unknown
  on(event: 'disconnect', listener: () => void): unknown
}

type EngineMiddleware = (request: IncomingMessage, response: unknown, next: () => void) => void

/** Nobody can be asked to send more slowly: past it a client is disconnected. */
const MAX_WAITING = 4_096

/**
 * Puts an engine in front of a Socket.IO server: `hookSocketIo(engine, io)`, before namespaces are made. A client that is
 * refused gets an HTTP response in place of the handshake. An event reaches the handlers of its socket, in its order, when
 * nobody objects to it. One that is dropped is not acknowledged. `onAny` hears of events before all middlewares, these too.
 *
 * `messages.maxWaiting` is 4,096 by default, and a client of which more wait is disconnected.
 *
 * @throws HookringError OPTIONS_INVALID, or HOOKPOINT_UNKNOWN, with the path of the option
 */
export function hookSocketIo<Points extends Hookpoints>(
  engine: AskingEngine<Points>,
  io: SocketIoServerLike,
  { messages = {}, ...options }: WebSocketOptions<Points> = {},
): HookedSockets {
  if (typeof io?.engine?.use !== 'function') {
    const problem = 'hookSocketIo: io: must be a Socket.IO server that is attached to an HTTP server'
    throw new HookringError('OPTIONS_INVALID', problem, { path: ['io'] })
  }
  const hooks = new HttpHooks(engine, options, 'hookSocketIo')
  const bounds = parseMessageOptions({ maxWaiting: MAX_WAITING, ...messages }, 'hookSocketIo')
  const requests = new WeakMap<IncomingMessage, NodeRequest>()
  io.engine.use((message, response, next) => {
    const request = upgradeRequest(hooks, message)
    requests.set(message, request)
    // One that has a session was asked about when it began.
    if (!hooks.isSubscribed('onUpgrade') || request.query.sid !== undefined) next()
    else void admit(hooks, request, { response, next })
  })
  let sockets = 0
  const guardEvents = (socket: SocketLike, next: () => void): void => {
    sockets += 1
    const request = requests.get(socket.request) ?? upgradeRequest(hooks, socket.request)
    guard(socket, { hooks, request, bounds, number: sockets })
    next()
  }
  io.use(guardEvents)
  io.on('new_namespace', (namespace) => namespace.use(guardEvents))
  return { counts: hooks.counts }
}

async function admit<Points extends Hookpoints>(
  hooks: HttpHooks<Points>,
  request: NodeRequest,
  { response, next }: { response: unknown; next(): void },
): Promise<void> {
  const { message } = request
  if (!(response instanceof ServerResponse)) {
    const { socket } = message as { socket: Duplex }
    const outcome = await askUpgrade(hooks, request, socket)
    if (outcome.kind === 'allowed') next()
    else refuseUpgrade(hooks, outcome, { request, socket })
    return
  }
  const client = new GoneClient(message, response)
  const outcome = await hooks.ask('onUpgrade', request, client.signal)
  client.release()
  if (outcome.kind === 'allowed') next()
  else if (outcome.kind === 'refused' || outcome.kind === 'undecided') {
    writeReply(message, response, hooks.replyTo(outcome, request))
  }
}

interface GuardOptions<Points extends Hookpoints> {
  readonly hooks: HttpHooks<Points>
  readonly request: NodeRequest
  readonly bounds: ReturnType<typeof parseMessageOptions>
  readonly number: number
}

function guard<Points extends Hookpoints>(
  socket: SocketLike,
  { hooks, request, bounds, number }: GuardOptions<Points>,
): void {
  const end = () => socket.disconnect(true)
  const line = new MessageLine({
    bounds,
    ask: (message, signal) => hooks.askMessage(message, signal),
    close: end,
    pause: () => {
      line.end()
      end()
    },
    resume: () => {},
  })
  socket.on('disconnect', () => line.end())
  socket.use((event, next) => {
    if (line.length === 0 && !hooks.isSubscribed('onMessage')) {
      next()
      return
    }
    const [name, ...args] = event
    const data = bytesOf(JSON.stringify(args.filter((one) => typeof one !== 'function')))
    line.take({ request, socket: number, isBinary: false, event: String(name), data }, next)
  })
}
