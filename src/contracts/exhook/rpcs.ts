/**
 * The RPCs of the ExHook service in its three versions, each with the name of its hook, its hookpoint and its request.
 * Facts of the protocol, for whoever speaks it; any thread.
 */

export const EXHOOK_VERSIONS = [1, 2, 3] as const
export type ExhookVersion = (typeof EXHOOK_VERSIONS)[number]

export interface ExhookRpc {
  /** Its name in the service: `OnClientAuthenticate`. */
  readonly rpc: string
  /** What a provider calls it when it says which hooks it wants: `client.authenticate`. Null: it is no hook. */
  readonly hook: string | null
  /** The hookpoint of the contract: `onClientAuthenticate`. */
  readonly hookpoint: string
  /** The message that it takes: `ClientAuthenticateRequest`. */
  readonly request: string
  /** It is asked, by a ValuedResponse; all others are told. */
  readonly isValued: boolean
  /** Its name in version 3, the same for what is one thing under two names. */
  readonly subject: string
}

const RPCS: readonly (readonly [rpc: string, hook: string | null])[] = [
  ['OnProviderLoaded', null],
  ['OnProviderUnloaded', null],
  ['OnClientConnect', 'client.connect'],
  ['OnClientConnack', 'client.connack'],
  ['OnClientConnected', 'client.connected'],
  ['OnClientDisconnected', 'client.disconnected'],
  ['OnClientAuthenticate', 'client.authenticate'],
  ['OnClientAuthorize', 'client.authorize'],
  ['OnClientSubscribe', 'client.subscribe'],
  ['OnClientUnsubscribe', 'client.unsubscribe'],
  ['OnSessionCreated', 'session.created'],
  ['OnSessionSubscribed', 'session.subscribed'],
  ['OnSessionUnsubscribed', 'session.unsubscribed'],
  ['OnSessionResumed', 'session.resumed'],
  ['OnSessionDiscarded', 'session.discarded'],
  ['OnSessionTakenover', 'session.takenover'],
  ['OnSessionTerminated', 'session.terminated'],
  ['OnMessagePublish', 'message.publish'],
  ['OnMessageDelivered', 'message.delivered'],
  ['OnMessageDropped', 'message.dropped'],
  ['OnMessageAcked', 'message.acked'],
]
const VALUED = ['OnClientAuthenticate', 'OnClientAuthorize', 'OnMessagePublish']

/** What version 1 calls otherwise. */
const IN_VERSION_1: Readonly<Record<string, readonly [rpc: string, hook: string]>> = {
  OnClientAuthorize: ['OnClientCheckAcl', 'client.check_acl'],
  OnSessionTakenover: ['OnSessionTakeovered', 'session.takeovered'],
}

/** By version, each in the service's order. */
export const EXHOOK_RPCS: Readonly<Record<ExhookVersion, readonly ExhookRpc[]>> = {
  1: RPCS.map(([subject, hook]) => rpcOf(subject, IN_VERSION_1[subject] ?? [subject, hook])),
  2: RPCS.map(([subject, hook]) => rpcOf(subject, [subject, hook])),
  3: RPCS.map(([subject, hook]) => rpcOf(subject, [subject, hook])),
}

function rpcOf(subject: string, [rpc, hook]: readonly [rpc: string, hook: string | null]): ExhookRpc {
  return {
    rpc,
    hook,
    hookpoint: `o${rpc.slice(1)}`,
    request: `${rpc.slice(2)}Request`,
    isValued: VALUED.includes(subject),
    subject,
  }
}
