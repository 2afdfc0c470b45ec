import { http } from 'hookring/contracts'
import { definePlugin } from 'hookring/plugin'
import { z } from 'zod'

/** Answers in place of the routes below a prefix. */
export default definePlugin(http, {
  name: 'maintenance',
  config: z.object({ prefix: z.string() }),
  setup: ({ config }) => ({
    onRoute({ path }) {
      if (!path.startsWith(config.prefix)) return
      return { status: 503, headers: { 'retry-after': '3600' }, body: 'back in an hour\n' }
    },
  }),
})
