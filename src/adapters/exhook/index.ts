/**
 * The door `hookring/exhook`: an engine of exhook@1, @2 or @3 as the provider that MQTT brokers with an extension hook call,
 * in all three versions of the protocol on one port. Needs `@grpc/grpc-js` and `@grpc/proto-loader`. Used by whoever runs
 * the server, on the host's thread.
 *
 * ```ts
 * const engine = await createHookEngine({ contract: exhook3, plugins: [{ from: './device-auth.ts' }] })
 * const provider = await startExhookProvider(engine, { address: '127.0.0.1:9000' })
 * ```
 */
export type { ExhookEngine } from './engine.js'
export { type ExhookHookSpec, type TopicsOption, wantedHooks } from './hook-specs.js'
export type { ExhookProviderOptions, ExhookTls } from './options.js'
export { type ExhookProvider, startExhookProvider } from './provider.js'
export type { ExhookCount } from './rpc.js'
