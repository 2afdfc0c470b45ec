import { http } from 'hookring/contracts'
import { definePlugin, reject } from 'hookring/plugin'
import { z } from 'zod'

export default definePlugin(http, {
  name: 'api-keys',
  config: z.object({ keys: z.record(z.string(), z.string()), prefix: z.string() }),
  setup({ config }) {
    const keys = new Set(Object.keys(config.keys))
    return {
      onRequest({ path, headers }) {
        if (!path.startsWith(config.prefix)) return
        const key = headers['x-api-key']
        if (key === undefined) return reject('an API key is needed', 401)
        if (!keys.has(key)) return reject('this API key is not known', 403)
      },
    }
  },
})
