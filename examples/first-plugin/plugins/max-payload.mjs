import { delivery } from 'hookring/contracts'
import { definePlugin, reject } from 'hookring/plugin'
import { z } from 'zod'

export default definePlugin(delivery, {
  name: 'max-payload',
  config: z.object({ maxBytes: z.int().positive() }),
  setup: ({ config }) => ({
    onMessageEnqueue({ payloadLen }) {
      if (payloadLen > config.maxBytes) return reject(`${payloadLen} bytes, at most ${config.maxBytes} are allowed`)
    },
  }),
})
