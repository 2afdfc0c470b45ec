/**
 * The door `hookring/connection`: a small IPC server with the hooks of connection@1, and its client (with the peer
 * dependency `@msgpack/msgpack` 3). TCP and unix sockets; bodies in MessagePack or JSON. Used on the host's thread; plugins
 * have `hookring/connection-plugin`.
 *
 * ```ts
 * const engine = await createHookEngine({ contract: connection, plugins: [{ from: './plugins/audit.ts' }] })
 * const server = createConnectionServer({ engine, users: { ada: 'secret' }, handler: (message) => evaluate(message) })
 * await server.listen({ port: 5010 })
 * server.hooks.set('auth', (user) => user !== 'ban')
 *
 * const client = await connect({ port: 5010, user: 'ada', password: 'secret' })
 * const response = await client.sync({ select: 'orders' })
 * ```
 */
export { type ClientEvents, type ConnectionClient, connect, type RequestOptions } from './client.js'
export type { ClientTls, ConnectOptions } from './client-options.js'
export type { ConnectionEngine } from './connection-registry.js'
export type { Users } from './credentials.js'
export type { RemoteError } from './handshake.js'
export type { Caller, HookSlots, HostHooks } from './host-hooks.js'
export type { Address, ListenOptions, ServerTls } from './listening.js'
export type { CloseReason } from './requests.js'
export { type ConnectionServer, type ConnectionStatus, createConnectionServer } from './server.js'
export type { ConnectionRefusal, ServerCounts } from './server-counts.js'
export type { Client, ConnectionServerOptions, Handler, ServerRequest } from './server-options.js'
