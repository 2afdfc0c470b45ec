/**
 * The door of Node's own servers, and of all that speak as they do: Express, Connect, Nest, Fastify's middie. One middleware per
 * server; one state per request; host's thread only.
 *
 *     request --> (body) --> onRequest --allowed--> onRoute --no answer--> next()
 *                    |           |                     |--answer--> sent, the handler is not called
 *                    '-----------'--refused, undecided--> sent
 *          (any) --the client leaves--> nothing is sent, nobody is called
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Hookpoints } from '../../contracts/index.js'
import { boundsOf, shownBody, wantsBody } from './bodies.js'
import type { AskingEngine } from './engine.js'
import { GoneClient } from './gone-client.js'
import { ALLOWED, type HttpCounts, HttpHooks } from './hooks.js'
import { readNodeBody } from './node-body.js'
import { watchResponse, writeReply } from './node-response.js'
import type { HttpOptions } from './options.js'
import type { Outcome } from './outcomes.js'
import { NodeRequest } from './request.js'

export type HookMiddleware = ((
  request: IncomingMessage,
  response: ServerResponse,
  next: (error?: unknown) => unknown,
) => void) & {
  readonly counts: Readonly<HttpCounts>
}

/** What frameworks add to Node's request. */
interface Dressed {
  /** Express and Connect: the target before they took a mount's path off it. */
  readonly originalUrl?: string
  /** Express: heeds its `trust proxy`. */
  readonly ip?: string
}

/**
 * A middleware that asks an engine's plugins about each request before the handlers behind it:
 * `app.use(hookMiddleware(engine))`. Put it before what parses bodies. With plain Node:
 * `createServer((req, res) => middleware(req, res, () => handler(req, res)))`.
 *
 * `next` is called at most once, without an error, and not at all when a plugin refused or answered, when nobody decided, or
 * when the client left.
 *
 * @throws HookringError OPTIONS_INVALID, or HOOKPOINT_UNKNOWN, with the path of the option
 */
export function hookMiddleware<Points extends Hookpoints>(
  engine: AskingEngine<Points>,
  options: HttpOptions<Points> = {},
): HookMiddleware {
  const hooks = new HttpHooks(engine, options, 'hookMiddleware')
  const middleware = (message: IncomingMessage, response: ServerResponse, next: () => unknown): void => {
    const isAsked = hooks.isSubscribed('onRequest') || hooks.isSubscribed('onRoute')
    const isTold = hooks.isSubscribed('onResponse')
    if (!isAsked && !isTold) {
      next()
      return
    }
    const request = requestOf(hooks, message)
    if (isTold) watchResponse(message, response, (end) => hooks.tell({ request, ...end }))
    if (!isAsked) {
      next()
      return
    }
    void decide(hooks, request, response).then((outcome) => {
      if (outcome.kind === 'allowed') {
        // Somebody before us may have answered meanwhile: one who limits time.
        if (!response.headersSent && !response.writableEnded) next()
      } else if (outcome.kind === 'answered') {
        writeReply(message, response, outcome.reply)
      } else if (outcome.kind !== 'gone') {
        writeReply(message, response, hooks.replyTo(outcome, request))
      }
    })
  }
  return Object.assign(middleware, { counts: hooks.counts })
}

function requestOf<Points extends Hookpoints>(hooks: HttpHooks<Points>, message: IncomingMessage): NodeRequest {
  const { method = '', url = '', originalUrl } = message as IncomingMessage & Dressed
  const parts = { method, target: originalUrl ?? url, route: null, requestId: hooks.requestIdOf(message) }
  const address = () => (message as Dressed).ip ?? message.socket?.remoteAddress
  return new NodeRequest(parts, { message, raw: message, address: () => hooks.addressOf(message, address) })
}

/** Never rejects. */
async function decide<Points extends Hookpoints>(
  hooks: HttpHooks<Points>,
  request: NodeRequest,
  response: ServerResponse,
): Promise<Outcome> {
  const client = new GoneClient(request.message, response)
  try {
    const obstacle = await showBody(hooks, request, client.signal)
    if (obstacle !== null) return obstacle
    let outcome: Outcome = ALLOWED
    if (hooks.isSubscribed('onRequest')) outcome = await hooks.ask('onRequest', request, client.signal)
    if (outcome.kind !== 'allowed' || !hooks.isSubscribed('onRoute')) return outcome
    return await hooks.ask('onRoute', request, client.signal)
  } catch (error) {
    return hooks.undecided('onRequest', 500, error)
  } finally {
    client.release()
  }
}

/** Reads the body, if plugins are to see it. Not null: they cannot. */
async function showBody<Points extends Hookpoints>(
  hooks: HttpHooks<Points>,
  request: NodeRequest,
  signal: AbortSignal,
): Promise<Outcome | null> {
  if (!wantsBody(hooks, request)) return null
  return shownBody(hooks, request, await readNodeBody(request.message, boundsOf(hooks)), signal)
}
