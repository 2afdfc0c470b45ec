import { http } from 'hookring/contracts'
import { definePlugin, reject } from 'hookring/plugin'
import { z } from 'zod'

export default definePlugin(http, {
  name: 'no-bots',
  config: z.object({ paths: z.array(z.string()) }),
  setup: ({ config }) => ({
    onRequest({ path, headers }) {
      const isBot = /bot|crawler|spider/i.test(headers['user-agent'] ?? '')
      if (isBot && config.paths.includes(path)) return reject('no bots here', 403)
    },
  }),
})
