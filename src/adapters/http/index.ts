/**
 * The door `hookring/http`: puts an engine in front of an HTTP server. A middleware for Node's own servers, Express and their
 * kind; a wrapper for handlers of fetch, such as Hono's; gates for `ws` and Socket.IO. `hookring/fastify` has a plugin for Fastify. Used by the server's operator,
 * on the host's thread.
 *
 * ```ts
 * const engine = await createHookEngine({ contract: http, plugins: [{ from: './plugins/block.mjs' }] })
 * app.use(hookMiddleware(engine)) // Express
 * serve({ fetch: hookFetch(engine, app.fetch) }) // Hono
 * ```
 */
export type { AskingEngine } from './engine.js'
export { type FetchHandler, type HookedFetch, hookFetch } from './fetch.js'
export type { HttpCounts } from './hooks.js'
export { type HookMiddleware, hookMiddleware } from './middleware.js'
export type { HttpOptions, MessageOptions } from './options.js'
export type { HttpReply, Refused, Undecided } from './outcomes.js'
export type { HookedRequest } from './request.js'
export { hookSocketIo, type SocketIoServerLike, type SocketLike } from './socket-io.js'
export type { HookedMessage, HookedResponse, Stages } from './stages.js'
export {
  type HookedSockets,
  hookWebSockets,
  type WebSocketLike,
  type WebSocketOptions,
  type WebSocketServerLike,
} from './web-sockets.js'
