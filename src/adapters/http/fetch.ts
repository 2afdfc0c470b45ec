/**
 * The door of servers whose handler takes a Request and returns a Response: Hono, and what adapts such handlers to Node. Host's
 * thread only.
 */
import type { Hookpoints } from '../../contracts/index.js'
import { boundsOf, shownBody, wantsBody } from './bodies.js'
import type { AskingEngine } from './engine.js'
import { readFetchBody } from './fetch-body.js'
import { ALLOWED, type HttpCounts, HttpHooks } from './hooks.js'
import type { HttpOptions } from './options.js'
import type { CheckedReply, Outcome } from './outcomes.js'
import { hasNoBody } from './replies.js'
import { FetchRequest } from './request.js'

export type FetchHandler<Rest extends unknown[]> = (request: Request, ...rest: Rest) => Response | Promise<Response>

export type HookedFetch<Rest extends unknown[]> = ((request: Request, ...rest: Rest) => Promise<Response>) & {
  readonly counts: Readonly<HttpCounts>
}

/** What @hono/node-server passes beside the request. */
interface NodeBindings {
  readonly incoming?: { readonly socket?: { readonly remoteAddress?: string } }
}

/**
 * A handler that asks an engine's plugins about each request before `handler` has it:
 * `serve({ fetch: hookFetch(engine, app.fetch) })`. What else the handler is called with is passed on.
 *
 * A Request says nothing of its connection: `clientAddress` is known behind @hono/node-server, elsewhere by the option of that
 * name.
 *
 * @throws HookringError OPTIONS_INVALID, or HOOKPOINT_UNKNOWN, with the path of the option
 */
export function hookFetch<Points extends Hookpoints, Rest extends unknown[]>(
  engine: AskingEngine<Points>,
  handler: FetchHandler<Rest>,
  options: HttpOptions<Points> = {},
): HookedFetch<Rest> {
  const hooks = new HttpHooks(engine, options, 'hookFetch')
  const hooked = async (raw: Request, ...rest: Rest): Promise<Response> => {
    const isTold = hooks.isSubscribed('onResponse')
    const isAsked = hooks.isSubscribed('onRequest') || hooks.isSubscribed('onRoute')
    if (!isAsked && !isTold) return handler(raw, ...rest)
    const startMs = performance.now()
    const request = requestOf(hooks, raw, rest[0])
    const tell = (status: number, bytes: number, isAborted: boolean) => {
      if (isTold) hooks.tell({ request, status, durationMs: performance.now() - startMs, bytes, isAborted })
    }
    const outcome = isAsked ? await decide(hooks, request) : ALLOWED
    if (outcome.kind === 'gone') {
      tell(CLIENT_CLOSED_REQUEST, 0, true)
      // Nobody reads it; a handler must return one.
      return new Response(null, { status: CLIENT_CLOSED_REQUEST })
    }
    if (outcome.kind !== 'allowed') {
      const reply = outcome.kind === 'answered' ? outcome.reply : hooks.replyTo(outcome, request)
      tell(reply.status, raw.method === 'HEAD' ? 0 : reply.body.length, false)
      return responseOf(reply, raw.method)
    }
    try {
      const response = await handler(raw, ...rest)
      return isTold ? countBody(response, tell, raw.method) : response
    } catch (error) {
      tell(500, 0, false)
      throw error
    }
  }
  return Object.assign(hooked, { counts: hooks.counts })
}

/** What nginx logs for it; there is no status of HTTP's for a response that nobody gets. */
const CLIENT_CLOSED_REQUEST = 499

function requestOf<Points extends Hookpoints>(hooks: HttpHooks<Points>, raw: Request, bindings: unknown): FetchRequest {
  const parts = { method: raw.method, target: raw.url, route: null, requestId: hooks.requestIdOf(raw) }
  const ofConnection = () => (bindings as NodeBindings | undefined)?.incoming?.socket?.remoteAddress
  return new FetchRequest(parts, { raw, address: () => hooks.addressOf(raw, ofConnection) })
}

/** Never rejects. */
async function decide<Points extends Hookpoints>(hooks: HttpHooks<Points>, request: FetchRequest): Promise<Outcome> {
  try {
    const { signal } = request.raw
    const obstacle = await showBody(hooks, request, signal)
    if (obstacle !== null) return obstacle
    let outcome: Outcome = ALLOWED
    if (hooks.isSubscribed('onRequest')) outcome = await hooks.ask('onRequest', request, signal)
    if (outcome.kind !== 'allowed' || !hooks.isSubscribed('onRoute')) return outcome
    return await hooks.ask('onRoute', request, signal)
  } catch (error) {
    return hooks.undecided('onRequest', 500, error)
  }
}

async function showBody<Points extends Hookpoints>(
  hooks: HttpHooks<Points>,
  request: FetchRequest,
  signal: AbortSignal,
): Promise<Outcome | null> {
  if (!wantsBody(hooks, request)) return null
  return shownBody(hooks, request, await readFetchBody(request.raw, boundsOf(hooks)), signal)
}

function responseOf({ status, headers, body }: CheckedReply, method: string): Response {
  if (hasNoBody(status)) return new Response(null, { status, headers })
  const framed = { ...headers, 'content-length': String(body.length) }
  return new Response(method === 'HEAD' ? null : body, { status, headers: framed })
}

type Tell = (status: number, bytes: number, isAborted: boolean) => void

/** The same response; its bytes are counted as they are read. */
function countBody(response: Response, tell: Tell, method: string): Response {
  const { body, status } = response
  if (body === null || method === 'HEAD') {
    tell(status, 0, false)
    return response
  }
  let bytes = 0
  const reader = body.getReader()
  const counted = new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const { done, value } = await reader.read()
        if (done) {
          controller.close()
          tell(status, bytes, false)
          return
        }
        bytes += value.byteLength
        controller.enqueue(value)
      } catch (error) {
        controller.error(error)
        tell(status, bytes, false)
      }
    },
    cancel(reason) {
      tell(status, bytes, true)
      return reader.cancel(reason)
    },
  })
  return new Response(counted, response)
}
