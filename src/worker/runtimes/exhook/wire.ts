/**
 * Messages to bytes and back, by the .proto file of a version. The home of @grpc/proto-loader in lanes. Messages are plain
 * objects with the names of protobuf's JSON mapping, as in the contracts; what a version does not have of them is left
 * out. The lane's thread.
 */
import { fileURLToPath } from 'node:url'
import type { MethodDefinition, ServiceDefinition } from '@grpc/proto-loader'
import { HookringError } from '../../../contracts/errors.js'
import { EXHOOK_RPCS, type ExhookVersion } from '../../../contracts/exhook/rpcs.js'
import { describe } from '../../../plugin/setup.js'

export type WireMessage = Readonly<Record<string, unknown>>

export interface Method {
  /** What the version calls it. */
  readonly name: string
  /** `/package.Service/Method`. */
  readonly path: string
  encode(message: WireMessage): Buffer
  /** Throws for bytes that are no such message. */
  decode(bytes: Buffer): WireMessage
}

/** By the subject of the RPC: its name in version 3. */
export type Wire = ReadonlyMap<string, Method>

const FOLDER = new URL('../../../../proto/', import.meta.url)

/** @throws HookringError GRPC_MISSING */
export async function loadWire(version: ExhookVersion, plugin: string): Promise<Wire> {
  const { load } = await import('@grpc/proto-loader').catch((cause: unknown) => {
    throw grpcMissing(plugin, '@grpc/proto-loader', cause)
  })
  const definition = await load(fileURLToPath(new URL(`exhook-v${version}.proto`, FOLDER)), {
    longs: String,
    defaults: true,
    oneofs: true,
  })
  const service = definition[`emqx.exhook.v${version}.HookProvider`] as ServiceDefinition
  return new Map(
    EXHOOK_RPCS[version].map(({ subject, rpc }): [string, Method] => {
      const { path, requestSerialize, responseDeserialize } = service[rpc] as MethodDefinition<object, object>
      return [
        subject,
        {
          name: rpc,
          path,
          encode: requestSerialize,
          decode: (bytes) => responseDeserialize(bytes) as WireMessage,
        },
      ]
    }),
  )
}

export function grpcMissing(plugin: string, name: string, cause: unknown): HookringError {
  const message = `plugin ${plugin} is a remote provider, which takes ${name}: install it (${describe(cause)})`
  return new HookringError('GRPC_MISSING', message, { cause })
}
