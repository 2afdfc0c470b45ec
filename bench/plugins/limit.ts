/** The plugin of case `chain`: reads one field and lets the event pass, up to its limit. Runs in a lane. */
import { delivery } from 'hookring/contracts'
import { definePlugin, reject } from 'hookring/plugin'
import { z } from 'zod'

export default definePlugin(delivery, {
  name: 'limit',
  config: z.object({ maxBytes: z.number() }),
  setup: ({ config: { maxBytes } }) => ({
    onMessageEnqueue: ({ payloadLen }) => (payloadLen > maxBytes ? reject('too large') : undefined),
  }),
})
