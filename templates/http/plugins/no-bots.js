import { http } from 'hookring/contracts'
import { definePlugin, reject } from 'hookring/plugin'
import { z } from 'zod'

export default definePlugin(http, {
  name: 'no-bots',
  /** Words that are in the User-Agent of those who are refused, in small letters. */
  config: z.object({ agents: z.array(z.string().min(1).lowercase()) }),
  setup: ({ config, log }) => ({
    onRequest({ headers }) {
      const agent = headers['user-agent']?.toLowerCase() ?? ''
      // A code of 400 to 599 is the status of the response, the reason is its detail.
      if (agent === '') return reject('say who you are: the header User-Agent is missing', 400)
      if (config.agents.some((word) => agent.includes(word))) return reject('no bots here', 403)
    },
    onResponse({ method, route, status, durationMs }) {
      log.debug('answered', { method, route, status, durationMs })
    },
  }),
})
