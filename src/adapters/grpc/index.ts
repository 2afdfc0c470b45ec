/**
 * The door `hookring/grpc`: hookpoints around the RPCs of a `@grpc/grpc-js` server (an optional peer dependency, 1.14 or
 * later). Used by the server's operator and its handlers, on the host's thread.
 *
 * ```ts
 * const server = new grpc.Server({
 *   interceptors: [
 *     authenticate,
 *     hookInterceptor(engine, {
 *       '/shop.v1.Shop/Order': {
 *         before: { hookpoint: 'onOrder', event: (request: OrderRequest) => ({ total: request.total }) },
 *         after: { hookpoint: 'onOrdered', event: ({ response }: RpcOutcome<OrderRequest, OrderReply>) => ({ id: response.id }) },
 *       },
 *     }),
 *   ],
 * })
 * ```
 */
export type { AskingEngine } from './engine.js'
export { hookInterceptor } from './interceptor.js'
export type { InterceptorOptions } from './rule-runner.js'
export type { AfterRule, BeforeRule, MethodRules, RpcCall, RpcOutcome, RpcRules, StartRule } from './rules.js'
export { errorStatus, type RejectStatusOptions, rejectStatus } from './status.js'
