/**
 * A broker as far as a provider sees it: a gRPC client of the ExHook service, with nothing of hookring's in it but the path
 * of the .proto files. Fields have their names on the wire.
 */
import { fileURLToPath } from 'node:url'
import {
  type Client,
  type ClientUnaryCall,
  type GrpcObject,
  credentials as grpcCredentials,
  loadPackageDefinition,
  type ServiceClientConstructor,
  type ServiceError,
} from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'

export type Wire = Record<string, unknown>

export interface BrokerCall {
  readonly call: ClientUnaryCall
  readonly answer: Promise<Wire>
}

export interface Broker {
  /** Resolves to the response; rejects with gRPC's error. */
  call(rpc: string, request: Wire, options?: { deadlineMs?: number }): Promise<Wire>
  begin(rpc: string, request: Wire, options?: { deadlineMs?: number }): BrokerCall
  /** gRPC's own client, for what no broker sends. */
  readonly raw: Client
  close(): void
}

type Method = (
  request: Wire,
  options: { deadline?: number },
  done: (error: ServiceError | null, response?: Wire) => void,
) => ClientUnaryCall

export function protoFile(version: number): string {
  return fileURLToPath(new URL(`../../proto/exhook-v${version}.proto`, import.meta.url))
}

export function connectBroker(
  version: number,
  address: string,
  credentials = grpcCredentials.createInsecure(),
  options: Record<string, string | number> = {},
): Broker {
  const loaded = loadPackageDefinition(loadSync(protoFile(version), { keepCase: true, longs: String, enums: String }))
  const versions = (loaded.emqx as GrpcObject).exhook as Record<string, Record<string, ServiceClientConstructor>>
  const HookProvider = versions[`v${version}`]?.HookProvider as ServiceClientConstructor
  const client = new HookProvider(address, credentials, options) as Client & Record<string, Method>
  const begin: Broker['begin'] = (rpc, request, { deadlineMs } = {}) => {
    let call: ClientUnaryCall | undefined
    const answer = new Promise<Wire>((resolve, reject) => {
      const deadline = deadlineMs === undefined ? {} : { deadline: Date.now() + deadlineMs }
      call = (client[rpc] as Method).call(client, request, deadline, (error, response) => {
        if (error === null) resolve(response as Wire)
        else reject(error)
      })
    })
    return { call: call as ClientUnaryCall, answer }
  }
  return {
    raw: client,
    begin,
    call: (rpc, request, callOptions) => begin(rpc, request, callOptions).answer,
    close: () => client.close(),
  }
}

const PORT_SINCE = 2

export const META: Wire = { node: 'n1@host', version: '5.9.0', sysdescr: 'a broker', cluster_name: 'c' }
export const PROPS = [{ name: 'Receive-Maximum', value: '32' }]
export const USER_PROPS = [{ name: 'region', value: 'north' }]

export function clientInfo(version: number, changes: Wire = {}): Wire {
  return {
    ...{ node: 'n1@host', clientid: 'c1', username: 'ada', password: '', peerhost: '10.0.0.9', sockport: 1883 },
    ...{ protocol: 'mqtt', mountpoint: '', is_superuser: true, anonymous: false, cn: 'ada', dn: 'CN=ada' },
    ...(version >= PORT_SINCE ? { peerport: 50_123 } : {}),
    ...changes,
  }
}

export function connInfo(version: number): Wire {
  return {
    ...{ node: 'n1@host', clientid: 'c1', username: 'ada', peerhost: '10.0.0.9', sockport: 1883 },
    ...{ proto_name: 'MQTT', proto_ver: '5', keepalive: 60 },
    ...(version >= PORT_SINCE ? { peerport: 50_123 } : {}),
  }
}

/** With a time that no double holds exactly. */
export function message(changes: Wire = {}): Wire {
  return {
    ...{ node: 'n1@host', id: '0001', qos: 1, from: 'c1', topic: 'up/1', payload: Buffer.from([0, 255, 10]) },
    ...{ timestamp: '9007199254740993', headers: { username: 'ada' } },
    ...changes,
  }
}
