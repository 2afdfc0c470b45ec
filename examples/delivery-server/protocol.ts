/**
 * The wire of the delivery service: its messages as TypeScript sees them, and the service definition loaded from
 * proto/delivery.proto. Imported by server and client.
 */
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  type GrpcObject,
  loadPackageDefinition,
  type ServiceClientConstructor,
  type ServiceDefinition,
} from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'

export interface RegisterRequest {
  username: string
  password: string
  identityKey: Uint8Array
}
export interface LoginRequest {
  username: string
  password: string
}
export interface LoginReply {
  sessionToken: string
}
export interface CreateChannelRequest {
  peerKey: Uint8Array
}
export interface CreateChannelReply {
  channelId: Uint8Array
  wasNew: boolean
}
export interface EnqueueRequest {
  recipientKey: Uint8Array
  channelId: Uint8Array
  payload: Uint8Array
  sealedSender: boolean
}
export interface EnqueueReply {
  /** Decimal text: a u64. */
  seq: string
}
export interface BatchEnqueueRequest {
  messages: EnqueueRequest[]
}
export interface BatchResult {
  seq: string
  code: number
  reason: string
}
export interface BatchEnqueueReply {
  results: BatchResult[]
}
export interface FetchRequest {
  channelId: Uint8Array
  limit: number
}
export interface FetchWaitRequest extends FetchRequest {
  timeoutMs: number
}
export interface DeliveredMessage {
  seq: string
  /** Empty for a sealed sender. */
  senderIdentity: Uint8Array
  payload: Uint8Array
}
export interface FetchReply {
  messages: DeliveredMessage[]
}
export interface PingReply {
  serverTimeMs: string
}
export type Empty = Record<string, never>

/** Request and reply of each RPC. */
export interface DeliveryRpcs {
  Register: [RegisterRequest, Empty]
  Login: [LoginRequest, LoginReply]
  CreateChannel: [CreateChannelRequest, CreateChannelReply]
  Enqueue: [EnqueueRequest, EnqueueReply]
  BatchEnqueue: [BatchEnqueueRequest, BatchEnqueueReply]
  Fetch: [FetchRequest, FetchReply]
  FetchWait: [FetchWaitRequest, FetchReply]
  Ping: [Empty, PingReply]
}

const definition = loadSync(findProto(), { longs: String, defaults: true, oneofs: true })
const packages = loadPackageDefinition(definition)

export const DeliveryClient = (packages.delivery as { v1: GrpcObject }).v1.Delivery as ServiceClientConstructor
export const deliveryService: ServiceDefinition = DeliveryClient.service

// A compiled copy of this file stands elsewhere; the .proto stays with the sources.
function findProto(): string {
  const start = dirname(fileURLToPath(import.meta.url))
  for (let folder = start; ; folder = dirname(folder)) {
    for (const path of ['proto/delivery.proto', 'examples/delivery-server/proto/delivery.proto']) {
      if (existsSync(join(folder, path))) return join(folder, path)
    }
    if (folder === dirname(folder)) throw new Error(`proto/delivery.proto was not found above ${start}`)
  }
}
