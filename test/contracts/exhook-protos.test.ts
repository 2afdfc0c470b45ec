/**
 * proto/exhook-v1.proto to -v3.proto, field by field, against the protocol's published numbers: a service, message, field or
 * enum that is missing, extra, renumbered or of another type fails.
 */
import { fileURLToPath } from 'node:url'
import { loadSync } from '@grpc/proto-loader'
import { EXHOOK_RPCS, EXHOOK_VERSIONS, type ExhookVersion } from 'hookring/contracts'
import { describe, expect, test } from 'vitest'

/** `type name = number`, in those versions: `1`, `12`, `23`, `3`; without: in all. Repeated fields are `type[]`. */
const MESSAGES: Readonly<Record<string, readonly string[]>> = {
  ProviderLoadedRequest: ['BrokerInfo broker = 1', 'RequestMeta meta = 2'],
  ProviderUnloadedRequest: ['RequestMeta meta = 1'],
  ClientConnectRequest: [
    'ConnInfo conninfo = 1',
    'Property[] props = 2',
    'RequestMeta meta = 3',
    'Property[] user_props = 4 @3',
  ],
  ClientConnackRequest: [
    'ConnInfo conninfo = 1',
    'string result_code = 2',
    'Property[] props = 3',
    'RequestMeta meta = 4',
    'Property[] user_props = 5 @3',
  ],
  ClientConnectedRequest: ['ClientInfo clientinfo = 1', 'RequestMeta meta = 2'],
  ClientDisconnectedRequest: ['ClientInfo clientinfo = 1', 'string reason = 2', 'RequestMeta meta = 3'],
  ClientAuthenticateRequest: ['ClientInfo clientinfo = 1', 'bool result = 2', 'RequestMeta meta = 3'],
  'ClientCheckAclRequest @1': [
    'ClientInfo clientinfo = 1',
    'AclReqType type = 2',
    'string topic = 3',
    'bool result = 4',
    'RequestMeta meta = 5',
  ],
  'ClientAuthorizeRequest @23': [
    'ClientInfo clientinfo = 1',
    'AuthorizeReqType type = 2',
    'string topic = 3',
    'bool result = 4',
    'RequestMeta meta = 5',
  ],
  ClientSubscribeRequest: [
    'ClientInfo clientinfo = 1',
    'Property[] props = 2',
    'TopicFilter[] topic_filters = 3',
    'RequestMeta meta = 4',
    'Property[] user_props = 5 @3',
  ],
  ClientUnsubscribeRequest: [
    'ClientInfo clientinfo = 1',
    'Property[] props = 2',
    'TopicFilter[] topic_filters = 3',
    'RequestMeta meta = 4',
    'Property[] user_props = 5 @3',
  ],
  SessionCreatedRequest: ['ClientInfo clientinfo = 1', 'RequestMeta meta = 2'],
  SessionSubscribedRequest: [
    'ClientInfo clientinfo = 1',
    'string topic = 2',
    'SubOpts subopts = 3',
    'RequestMeta meta = 4',
  ],
  SessionUnsubscribedRequest: ['ClientInfo clientinfo = 1', 'string topic = 2', 'RequestMeta meta = 3'],
  SessionResumedRequest: ['ClientInfo clientinfo = 1', 'RequestMeta meta = 2'],
  SessionDiscardedRequest: ['ClientInfo clientinfo = 1', 'RequestMeta meta = 2'],
  'SessionTakeoveredRequest @1': ['ClientInfo clientinfo = 1', 'RequestMeta meta = 2'],
  'SessionTakenoverRequest @23': ['ClientInfo clientinfo = 1', 'RequestMeta meta = 2'],
  SessionTerminatedRequest: ['ClientInfo clientinfo = 1', 'string reason = 2', 'RequestMeta meta = 3'],
  MessagePublishRequest: [
    'Message message = 1',
    'RequestMeta meta = 2',
    'Property[] props = 3 @3',
    'Property[] user_props = 4 @3',
  ],
  MessageDeliveredRequest: ['ClientInfo clientinfo = 1', 'Message message = 2', 'RequestMeta meta = 3'],
  MessageAckedRequest: ['ClientInfo clientinfo = 1', 'Message message = 2', 'RequestMeta meta = 3'],
  MessageDroppedRequest: ['Message message = 1', 'string reason = 2', 'RequestMeta meta = 3'],
  LoadedResponse: ['HookSpec[] hooks = 1'],
  HookSpec: ['string name = 1', 'string[] topics = 2'],
  EmptySuccess: [],
  ValuedResponse: ['ResponsedType type = 1', 'bool bool_result = 3', 'Message message = 4'],
  BrokerInfo: [
    'string version = 1',
    'string sysdescr = 2',
    'string uptime = 3 @1',
    'int64 uptime = 3 @23',
    'string datetime = 4',
  ],
  ConnInfo: [
    'string node = 1',
    'string clientid = 2',
    'string username = 3',
    'string peerhost = 4',
    'uint32 sockport = 5',
    'string proto_name = 6',
    'string proto_ver = 7',
    'uint32 keepalive = 8',
    'uint32 peerport = 9 @23',
  ],
  ClientInfo: [
    'string node = 1',
    'string clientid = 2',
    'string username = 3',
    'string password = 4',
    'string peerhost = 5',
    'uint32 sockport = 6',
    'string protocol = 7',
    'string mountpoint = 8',
    'bool is_superuser = 9',
    'bool anonymous = 10',
    'string cn = 11',
    'string dn = 12',
    'uint32 peerport = 13 @23',
  ],
  Message: [
    'string node = 1',
    'string id = 2',
    'uint32 qos = 3',
    'string from = 4',
    'string topic = 5',
    'bytes payload = 6',
    'uint64 timestamp = 7',
    // A map; what its entries are made of is shown below.
    'Headers[] headers = 8',
  ],
  Property: ['string name = 1', 'string value = 2'],
  TopicFilter: ['string name = 1', 'uint32 qos = 2 @12', 'SubOpts subopts = 3 @23'],
  SubOpts: ['uint32 qos = 1', 'string share = 2 @12', 'uint32 rh = 3', 'uint32 rap = 4', 'uint32 nl = 5'],
  RequestMeta: ['string node = 1', 'string version = 2', 'string sysdescr = 3', 'string cluster_name = 4'],
}

const ENUMS: Readonly<Record<string, readonly string[]>> = {
  'ClientCheckAclRequest.AclReqType @1': ['PUBLISH = 0', 'SUBSCRIBE = 1'],
  'ClientAuthorizeRequest.AuthorizeReqType @23': ['PUBLISH = 0', 'SUBSCRIBE = 1'],
  'ValuedResponse.ResponsedType': ['CONTINUE = 0', 'IGNORE = 1', 'STOP_AND_RETURN = 2'],
}

/** The service of version 1 as the protocol's document lists it; later versions name two RPCs otherwise. */
const SERVICE: readonly string[] = [
  'OnProviderLoaded(ProviderLoadedRequest) LoadedResponse',
  'OnProviderUnloaded(ProviderUnloadedRequest) EmptySuccess',
  'OnClientConnect(ClientConnectRequest) EmptySuccess',
  'OnClientConnack(ClientConnackRequest) EmptySuccess',
  'OnClientConnected(ClientConnectedRequest) EmptySuccess',
  'OnClientDisconnected(ClientDisconnectedRequest) EmptySuccess',
  'OnClientAuthenticate(ClientAuthenticateRequest) ValuedResponse',
  'OnClientCheckAcl(ClientCheckAclRequest) ValuedResponse @1',
  'OnClientAuthorize(ClientAuthorizeRequest) ValuedResponse @23',
  'OnClientSubscribe(ClientSubscribeRequest) EmptySuccess',
  'OnClientUnsubscribe(ClientUnsubscribeRequest) EmptySuccess',
  'OnSessionCreated(SessionCreatedRequest) EmptySuccess',
  'OnSessionSubscribed(SessionSubscribedRequest) EmptySuccess',
  'OnSessionUnsubscribed(SessionUnsubscribedRequest) EmptySuccess',
  'OnSessionResumed(SessionResumedRequest) EmptySuccess',
  'OnSessionDiscarded(SessionDiscardedRequest) EmptySuccess',
  'OnSessionTakeovered(SessionTakeoveredRequest) EmptySuccess @1',
  'OnSessionTakenover(SessionTakenoverRequest) EmptySuccess @23',
  'OnSessionTerminated(SessionTerminatedRequest) EmptySuccess',
  'OnMessagePublish(MessagePublishRequest) ValuedResponse',
  'OnMessageDelivered(MessageDeliveredRequest) EmptySuccess',
  'OnMessageDropped(MessageDroppedRequest) EmptySuccess',
  'OnMessageAcked(MessageAckedRequest) EmptySuccess',
]

const ofVersion = (version: ExhookVersion, lines: readonly string[]) =>
  lines.flatMap((line) => {
    const [text, versions = '123'] = line.split(' @') as [string, string?]
    return versions.includes(String(version)) ? [text] : []
  })

const tableOf = (version: ExhookVersion, table: typeof MESSAGES) =>
  Object.fromEntries(
    Object.entries(table).flatMap(([name, lines]) =>
      ofVersion(version, [name]).map((kept) => [kept, ofVersion(version, lines)]),
    ),
  )

interface Field {
  readonly name: string
  readonly number: number
  readonly label: string
  readonly type: string
  readonly typeName: string
}
interface Enum {
  readonly name: string
  readonly value: readonly { readonly name: string; readonly number: number }[]
}
interface Loaded {
  readonly type: {
    readonly name: string
    readonly field: readonly Field[]
    readonly enumType: readonly Enum[]
    readonly reservedRange: readonly { readonly start: number }[]
  }
}
interface Rpc {
  readonly path: string
  readonly requestStream: boolean
  readonly responseStream: boolean
  readonly requestType: Loaded
  readonly responseType: Loaded
  requestSerialize(value: object): Buffer
  requestDeserialize(bytes: Buffer): Record<string, unknown>
  responseSerialize(value: object): Buffer
  responseDeserialize(bytes: Buffer): Record<string, unknown>
}

const TYPES: Readonly<Record<string, string>> = { TYPE_MESSAGE: '', TYPE_ENUM: '' }

function fieldText({ name, number, label, type, typeName }: Field): string {
  const kind = TYPES[type] ?? type.slice('TYPE_'.length).toLowerCase()
  const shown = kind === '' ? typeName.split('.').at(-1) : kind
  return `${shown}${label === 'LABEL_REPEATED' ? '[]' : ''} ${name} = ${number}`
}

function load(version: ExhookVersion) {
  const file = fileURLToPath(import.meta.resolve(`hookring/proto/exhook-v${version}.proto`))
  const found = loadSync(file, { keepCase: true, longs: String, enums: String, oneofs: true })
  const prefix = `emqx.exhook.v${version}.`
  const named = Object.entries(found).map(([name, value]) => {
    expect(name.startsWith(prefix)).toBe(true)
    return [name.slice(prefix.length), value as unknown] as const
  })
  const all = Object.fromEntries(named)
  const { HookProvider: service, ...messages } = all as { HookProvider: Record<string, Rpc> } & Record<string, Loaded>
  return { service, messages: messages as Record<string, Loaded> }
}

describe.each(EXHOOK_VERSIONS)('exhook-v%d.proto', (version) => {
  const { service, messages } = load(version)

  test('has the messages of the protocol, field by field', () => {
    const found = Object.entries(messages).map(([name, { type }]) => [name, type.field.map(fieldText)])
    expect(Object.fromEntries(found)).toEqual(tableOf(version, MESSAGES))
  })

  test('has the enums of the protocol', () => {
    const found = Object.entries(messages).flatMap(([message, { type }]) =>
      type.enumType.map(({ name, value }) => [
        `${message}.${name}`,
        value.map(({ name: word, number }) => `${word} = ${number}`),
      ]),
    )
    expect(Object.fromEntries(found)).toEqual(tableOf(version, ENUMS))
  })

  test('has the service of the protocol, RPC by RPC, all unary', () => {
    const found = Object.entries(service).map(([name, { path, requestStream, responseStream, ...rpc }]) => {
      expect({ path, requestStream, responseStream }).toEqual({
        path: `/emqx.exhook.v${version}.HookProvider/${name}`,
        requestStream: false,
        responseStream: false,
      })
      return `${name}(${rpc.requestType.type.name}) ${rpc.responseType.type.name}`
    })
    expect(found).toEqual(ofVersion(version, SERVICE))
  })

  test('reads a message from its bytes on the wire, headers and 64-bit numbers included', () => {
    const { requestDeserialize, requestSerialize } = service.OnMessagePublish as Rpc
    const message = [
      ...text(1, 'n1'),
      ...text(2, 'id1'),
      ...[0x18, 2],
      ...text(4, 'c1'),
      ...text(5, 'a/b'),
      ...[0x32, 2, 0xff, 0x00],
      // 2^64 - 1, ten bytes of varint.
      ...[0x38, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1],
      ...field(8, [...text(1, 'username'), ...text(2, 'ada')]),
    ]
    const bytes = Buffer.from([...field(1, message), ...field(2, text(4, 'cluster'))])
    const request = requestDeserialize(bytes)
    expect(request).toMatchObject({
      message: {
        ...{ node: 'n1', id: 'id1', qos: 2, from: 'c1', topic: 'a/b', payload: Buffer.from([0xff, 0]) },
        ...{ timestamp: '18446744073709551615', headers: { username: 'ada' } },
      },
      meta: { cluster_name: 'cluster' },
    })
    expect(requestSerialize(request)).toEqual(bytes)
  })

  test('has one value or the other in an answer', () => {
    const { responseDeserialize } = service.OnMessagePublish as Rpc
    expect(responseDeserialize(Buffer.from([0x08, 2, 0x18, 1]))).toMatchObject({
      ...{ type: 'STOP_AND_RETURN', value: 'bool_result', bool_result: true },
    })
    expect(responseDeserialize(Buffer.from([0x22, ...[5, ...text(5, 'a/b')]]))).toMatchObject({
      ...{ value: 'message', message: { topic: 'a/b' } },
    })
    expect(responseDeserialize(Buffer.from([0x08, 1]))).not.toHaveProperty('value')
  })

  test('has the RPCs that the table of hooks has', () => {
    const described = EXHOOK_RPCS[version].map(({ rpc, request, isValued, hook }) => {
      const response = isValued ? 'ValuedResponse' : rpc === 'OnProviderLoaded' ? 'LoadedResponse' : 'EmptySuccess'
      expect(hook === null).toBe(rpc.startsWith('OnProvider'))
      return `${rpc}(${request}) ${response}`
    })
    expect(described).toEqual(ofVersion(version, SERVICE))
  })
})

test('fields that a later version gave up stay reserved', () => {
  const { messages } = load(3)
  const reserved = Object.entries(messages).flatMap(([name, { type }]) =>
    type.reservedRange.map(({ start }) => `${name} ${start}`),
  )
  expect(reserved.sort()).toEqual(['SubOpts 2', 'TopicFilter 2'])
})

/** A field with bytes in it, as the wire has it. */
function field(number: number, bytes: readonly number[]): number[] {
  if (bytes.length > 127) throw new Error('a longer length takes two bytes')
  return [(number << 3) | 2, bytes.length, ...bytes]
}

function text(number: number, value: string): number[] {
  return field(number, [...Buffer.from(value)])
}
