import { http } from 'hookring/contracts'
import { definePlugin, reject } from 'hookring/plugin'
import { z } from 'zod'

export default definePlugin(http, {
  name: 'manners',
  config: z.object({ origins: z.array(z.string()), maxChars: z.int().positive() }),
  setup: ({ config }) => ({
    onUpgrade({ headers }) {
      if (!config.origins.includes(headers.origin ?? '')) return reject('this page may not chat here', 403)
    },
    onMessage({ isBinary, data }) {
      if (isBinary) return reject('text only')
      if (new TextDecoder().decode(data).length > config.maxChars) return reject('too long')
    },
  }),
})
