import { http } from 'hookring/contracts'
import { definePlugin, reject } from 'hookring/plugin'
import { z } from 'zod'

export default definePlugin(http, {
  name: 'clean-comments',
  config: z.object({ words: z.array(z.string()) }),
  setup: ({ config }) => ({
    onRequest({ body }) {
      const text = new TextDecoder().decode(body ?? new Uint8Array()).toLowerCase()
      const word = config.words.find((one) => text.includes(one))
      if (word !== undefined) return reject(`comments may not say ${word}`, 422)
    },
  }),
})
