/**
 * The protocol's service, by grpc-js and the .proto file alone, as somebody would write it who has a broker or a provider
 * of his own. Used in the processes of both.
 */
import { fileURLToPath } from 'node:url'
import { type GrpcObject, loadPackageDefinition, type ServiceClientConstructor } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'

export interface ValuedResponse {
  readonly type: 'CONTINUE' | 'IGNORE' | 'STOP_AND_RETURN'
  readonly boolResult?: boolean
}

export function hookProvider(): ServiceClientConstructor {
  const file = fileURLToPath(import.meta.resolve('hookring/proto/exhook-v3.proto'))
  const root = loadPackageDefinition(loadSync(file, { enums: String, longs: String, defaults: true, oneofs: true }))
  const { exhook } = root.emqx as { exhook: GrpcObject } & GrpcObject
  return (exhook.v3 as GrpcObject).HookProvider as ServiceClientConstructor
}
