/**
 * The door `hookring/fastify`: a plugin for Fastify 5 that asks an engine's plugins at the stages of a request. Used by the
 * server's operator, on the host's thread. Needs `fastify` and `fastify-plugin`, optional peer dependencies.
 *
 * ```ts
 * import hookring from 'hookring/fastify'
 *
 * await app.register(hookring, { engine: { plugins: [{ from: './plugins/block.mjs' }] } })
 * ```
 *
 * | stage of Fastify | what is asked                                                        |
 * |------------------|----------------------------------------------------------------------|
 * | onRequest        | the gate onRequest, where plugins do not see the body                |
 * | preParsing       | the gate onRequest, where they do: the body is read, and read again by Fastify |
 * | preHandler       | onRoute: an answer is sent in place of the handler's                 |
 * | the response has ended, or its client left | onResponse is told                         |
 * | preClose         | `engine.shutdown()`                                                  |
 * | onClose          | `engine.close()`, of an engine that the plugin has made               |
 */
import { IncomingMessage } from 'node:http'
import type { Readable } from 'node:stream'
import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest, RouteOptions } from 'fastify'
import fastifyPlugin from 'fastify-plugin'
import { type Contract, type Hookpoints, HookringError, type HttpContract, http } from '../../contracts/index.js'
import { createHookEngine, type EngineHooks, type EngineOptions, type HookEngine } from '../../index.js'
import { type BodyBounds, type BodyReading, boundsOf, shownBody, wantsBody } from './bodies.js'
import { GoneClient } from './gone-client.js'
import { ALLOWED, type HttpCounts, HttpHooks } from './hooks.js'
import { readNodeBody, readStreamBody } from './node-body.js'
import { watchResponse } from './node-response.js'
import type { HttpOptions } from './options.js'
import type { CheckedReply, Outcome } from './outcomes.js'
import { NodeRequest } from './request.js'

/** What a route says in its `config.hookring`: `false` asks nobody about it. */
export type RouteHooks =
  | false
  | {
      /** Whether plugins see the body. Default: the plugin's option. */
      readonly body?: boolean
      /** Default: the plugin's option. */
      readonly maxBodyBytes?: number
    }

type HttpPoints = HttpContract['hookpoints']

/** The options of an engine. Its contract is http@1 unless another is named, its logger Fastify's, and its `wait` is `park`. */
export type FastifyEngineOptions<Points extends Hookpoints> = Omit<EngineOptions<Points>, 'contract'> & {
  /** The contract of its hookpoints. Default: http@1. */
  contract?: Contract<Points>
}

export interface FastifyHooksOptions<Points extends Hookpoints = HttpPoints> extends HttpOptions<Points> {
  /** An engine, which stays its owner's to close; or the options of one, which is made and closed with the server. */
  engine: HookEngine<Points> | FastifyEngineOptions<Points>
}

declare module 'fastify' {
  interface FastifyInstance {
    /** The hookpoints of the engine, to ask or tell in handlers. Typed as those of http@1. */
    hooks: EngineHooks<HttpPoints>
    /** What the hooks have counted. */
    hookCounts: Readonly<HttpCounts>
  }
  interface FastifyContextConfig {
    hookring?: RouteHooks
  }
}

/** What is kept of a request between the stages. */
interface Kept {
  readonly request: NodeRequest
  readonly wantsBody: boolean
  readonly bounds: BodyBounds
}

const KEPT = Symbol('hookring')
type Keeping = FastifyRequest & { [KEPT]: Kept | null }

async function register<Points extends Hookpoints>(
  app: FastifyInstance,
  { engine: given, ...options }: FastifyHooksOptions<Points>,
): Promise<void> {
  const isOwned = !isEngine(given)
  const engine = isOwned ? await makeEngine(app, given) : given
  try {
    const hooks = new HttpHooks(engine, options, 'hookring/fastify')
    app.decorate('hooks', engine.hooks as never)
    app.decorate('hookCounts', hooks.counts)
    app.decorateRequest(KEPT, null)
    new RequestStages(hooks).addTo(app)
  } catch (error) {
    if (isOwned) await engine.close()
    throw error
  }
  app.addHook('preClose', () => engine.shutdown())
  if (isOwned) app.addHook('onClose', () => engine.close())
}

/** The plugin. `app.hooks` has the engine's hookpoints from then on. */
export const hookringFastify: FastifyPluginAsync<FastifyHooksOptions> = fastifyPlugin(
  register as FastifyPluginAsync<FastifyHooksOptions>,
  {
    name: 'hookring',
    fastify: '5.x',
  },
)

/**
 * Options for an engine of another contract than http@1, checked by its types:
 * `app.register(hookring, optionsFor({ engine, stages: { onRequest: { hookpoint: 'onOrder', event: ... } } }))`.
 */
export function optionsFor<Points extends Hookpoints>(options: FastifyHooksOptions<Points>): FastifyHooksOptions {
  return options as unknown as FastifyHooksOptions
}

export default hookringFastify

function isEngine<Points extends Hookpoints>(
  given: HookEngine<Points> | FastifyEngineOptions<Points>,
): given is HookEngine<Points> {
  if (typeof given !== 'object' || given === null) {
    const problem = 'hookring/fastify: engine: must be an engine, or the options of one'
    throw new HookringError('OPTIONS_INVALID', problem, { path: ['engine'] })
  }
  return 'hooks' in given && 'isSubscribed' in given
}

function makeEngine<Points extends Hookpoints>(
  app: FastifyInstance,
  options: FastifyEngineOptions<Points>,
): Promise<HookEngine<Points>> {
  const contract = (options.contract ?? http) as Contract<Points>
  // What looking again saves of a request's time is little; the core that it takes is the one that serves others.
  const defaults = { logger: app.log, wait: 'park' }
  return createHookEngine<Points, Record<never, never>>({ ...defaults, ...options, contract } as never)
}

type Continue = (error?: Error) => void
type ContinueParsing = (error: null, payload: Readable) => void

/** The stages of Fastify's lifecycle. Callbacks, so that what nobody is asked about costs no promise. */
class RequestStages<Points extends Hookpoints> {
  readonly #hooks: HttpHooks<Points>

  constructor(hooks: HttpHooks<Points>) {
    this.#hooks = hooks
  }

  addTo(app: FastifyInstance): void {
    app.addHook('onRoute', checkRoute)
    app.addHook('onRequest', (request, reply, done) => this.#onRequest(request as Keeping, reply, done))
    app.addHook('preParsing', (request, reply, payload, done) => {
      this.#preParsing(request as Keeping, reply, payload as Readable, done as unknown as ContinueParsing)
    })
    app.addHook('preHandler', (request, reply, done) => this.#preHandler((request as Keeping)[KEPT], reply, done))
  }

  #onRequest(request: Keeping, reply: FastifyReply, done: Continue): void {
    const route = request.routeOptions.config.hookring
    const hooks = this.#hooks
    const isGated = hooks.isSubscribed('onRequest')
    const isTold = hooks.isSubscribed('onResponse')
    if (route === false || !(isGated || isTold || hooks.isSubscribed('onRoute'))) {
      done()
      return
    }
    const asked = requestOf(hooks, request)
    if (isTold) watchResponse(request.raw, reply.raw, (end) => hooks.tell({ request: asked, ...end }))
    const kept = this.#keep(asked, route)
    request[KEPT] = kept
    if (kept === null) this.#settle(hooks.undecided('onRequest', 500), { request: asked, reply, proceed: done })
    else if (!isGated || kept.wantsBody) done()
    else
      void this.#ask('onRequest', asked, reply).then((outcome) =>
        this.#settle(outcome, { request: asked, reply, proceed: done }),
      )
  }

  /** Null: the operator's function threw, which it is told. */
  #keep(request: NodeRequest, route: Exclude<RouteHooks, false> | undefined): Kept | null {
    const bounds = boundsOf(this.#hooks)
    try {
      return {
        request,
        wantsBody: route?.body ?? wantsBody(this.#hooks, request),
        bounds: route?.maxBodyBytes === undefined ? bounds : { ...bounds, maxBytes: route.maxBodyBytes },
      }
    } catch (error) {
      this.#hooks.report(error, 'body')
      return null
    }
  }

  #preParsing(request: Keeping, reply: FastifyReply, payload: Readable, done: ContinueParsing): void {
    const kept = request[KEPT]
    if (kept === null || !kept.wantsBody) {
      done(null, payload)
      return
    }
    let next = payload
    const replace = (again: Readable) => {
      next = again
    }
    void this.#withBody(kept, { reply, payload, replace }).then((outcome) =>
      this.#settle(outcome, { request: kept.request, reply, proceed: () => done(null, next) }),
    )
  }

  #preHandler(kept: Kept | null, reply: FastifyReply, done: Continue): void {
    if (kept === null || !this.#hooks.isSubscribed('onRoute')) {
      done()
      return
    }
    const { request } = kept
    void this.#ask('onRoute', request, reply).then((outcome) =>
      this.#settle(outcome, { request, reply, proceed: done }),
    )
  }

  /** Never rejects. */
  async #withBody(
    kept: Kept,
    { reply, payload, replace }: { reply: FastifyReply; payload: Readable; replace(again: Readable): void },
  ): Promise<Outcome> {
    const hooks = this.#hooks
    const { bounds } = kept
    const { message } = kept.request
    const client = new GoneClient(message, reply.raw)
    try {
      // Another plugin has put a stream of its own in the request's place, or the request is one of `inject`.
      const isReplaced = payload !== message || !(message instanceof IncomingMessage)
      const reading = await (isReplaced ? readStreamBody(payload, bounds) : readNodeBody(message, bounds))
      if (reading.kind === 'read' && 'again' in reading) {
        replace(Object.assign(reading.again, { receivedEncodedLength: encodedLength(payload, reading.body) }))
      }
      const obstacle = shownBody(hooks, kept.request, reading as BodyReading, client.signal)
      if (obstacle !== null) return obstacle
      return hooks.isSubscribed('onRequest') ? await hooks.ask('onRequest', kept.request, client.signal) : ALLOWED
    } catch (error) {
      return hooks.undecided('onRequest', 500, error)
    } finally {
      client.release()
    }
  }

  /** Never rejects. */
  async #ask(stage: 'onRequest' | 'onRoute', request: NodeRequest, reply: FastifyReply): Promise<Outcome> {
    const client = new GoneClient(request.message, reply.raw)
    const outcome = await this.#hooks.ask(stage, request, client.signal)
    client.release()
    return outcome
  }

  #settle(
    outcome: Outcome,
    { request, reply, proceed }: { request: NodeRequest; reply: FastifyReply; proceed(): void },
  ): void {
    // Somebody may have answered meanwhile: one who limits time.
    if (reply.sent) return
    if (outcome.kind === 'allowed') proceed()
    else if (outcome.kind === 'gone') reply.hijack()
    else sendReply(reply, request, outcome.kind === 'answered' ? outcome.reply : this.#hooks.replyTo(outcome, request))
  }
}

function sendReply(reply: FastifyReply, { message }: NodeRequest, { status, headers, body }: CheckedReply): void {
  reply.code(status).headers(headers)
  // What is not read of a body that is too large would be read to its end before the connection could be used again.
  if ((status === 413 || status === 408) && message.httpVersionMajor < 2) reply.header('connection', 'close')
  reply.send(body.length === 0 ? undefined : Buffer.from(body.buffer, body.byteOffset, body.length))
}

function requestOf<Points extends Hookpoints>(hooks: HttpHooks<Points>, request: FastifyRequest): NodeRequest {
  const parts = {
    method: request.method,
    target: request.originalUrl,
    route: request.routeOptions.url ?? null,
    requestId: hooks.requestIdOf(request),
  }
  const address = () => hooks.addressOf(request, () => request.ip)
  return new NodeRequest(parts, { message: request.raw, raw: request, address })
}

/** What Fastify holds against Content-Length: of a body that somebody has unpacked, its length before. */
function encodedLength(payload: Readable, body: Uint8Array): number {
  const { receivedEncodedLength } = payload as { readonly receivedEncodedLength?: unknown }
  return typeof receivedEncodedLength === 'number' ? receivedEncodedLength : body.length
}

/** @throws HookringError OPTIONS_INVALID, when the route is added */
function checkRoute({ config, method, url }: RouteOptions): void {
  const said: unknown = config?.hookring
  if (said === undefined || said === false) return
  const { body, maxBodyBytes, ...others } = (said ?? {}) as Record<string, unknown>
  const isBound = maxBodyBytes === undefined || (Number.isInteger(maxBodyBytes) && (maxBodyBytes as number) >= 0)
  const isObject = typeof said === 'object' && said !== null
  if (isObject && Object.keys(others).length === 0 && (body === undefined || typeof body === 'boolean') && isBound)
    return
  const problem = `${String(method)} ${url}: config.hookring must be false, or { body: true or false, maxBodyBytes: a whole number }`
  throw new HookringError('OPTIONS_INVALID', problem, { path: ['config', 'hookring'] })
}
