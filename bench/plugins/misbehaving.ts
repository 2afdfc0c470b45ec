/** The plugin of case `rpc`, mode `hookring`. Runs in a lane. */
import { delivery } from 'hookring/contracts'
import { definePlugin } from 'hookring/plugin'
import { misbehave } from '../rpc/misbehave.js'

export default definePlugin(delivery, {
  name: 'misbehaving',
  setup: () => ({
    onMessageEnqueue: ({ payloadLen }) => misbehave(payloadLen),
  }),
})
