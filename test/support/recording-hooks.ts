/** Hooks of delivery@1 that keep what they are told, with verdicts by the test. For tests of the example server. */
import type { GateVerdict } from 'hookring/contracts'
import type { DeliveryHooks } from '../../examples/delivery-server/server.js'

export function recordingHooks(gate: DeliveryHooks['onMessageEnqueue'] = () => ({ kind: 'continue' })) {
  const told: { hookpoint: string; event: unknown }[] = []
  const keep = (hookpoint: string) => (event: unknown) => {
    told.push({ hookpoint, event })
  }
  const hooks: DeliveryHooks = {
    onMessageEnqueue(event, options): PromiseLike<GateVerdict> | GateVerdict {
      told.push({ hookpoint: 'onMessageEnqueue', event })
      return gate(event, options)
    },
    onBatchEnqueue: keep('onBatchEnqueue'),
    onAuth: keep('onAuth'),
    onChannelCreated: keep('onChannelCreated'),
    onFetch: keep('onFetch'),
    onUserRegistered: keep('onUserRegistered'),
  }
  return { hooks, told, names: () => told.map(({ hookpoint }) => hookpoint), clear: () => told.splice(0) }
}
