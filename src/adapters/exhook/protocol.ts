/**
 * The service of each version, as its .proto file has it. Loaded when a provider starts, on the host's thread.
 */
import { fileURLToPath } from 'node:url'
import type { ServiceDefinition } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import type { ExhookVersion } from '../../contracts/index.js'

/** A message as the loader reads and writes it: fields by their names in JSON, 64-bit integers as text. */
export type WireMessage = Record<string, unknown>

export interface ValuedResponse {
  /** CONTINUE: the value, and on. IGNORE: no value. STOP_AND_RETURN: the value, and no one else is asked. */
  readonly type: 'CONTINUE' | 'IGNORE' | 'STOP_AND_RETURN'
  readonly boolResult?: boolean
  readonly message?: WireMessage
}

export function loadService(version: ExhookVersion): ServiceDefinition {
  const file = fileURLToPath(new URL(`../../../proto/exhook-v${version}.proto`, import.meta.url))
  const loaded = loadSync(file, {
    longs: String,
    enums: String,
    defaults: true,
    arrays: true,
    objects: true,
    oneofs: true,
  })
  return loaded[`emqx.exhook.v${version}.HookProvider`] as ServiceDefinition
}
