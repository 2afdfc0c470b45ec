import { http } from 'hookring/contracts'
import { definePlugin } from 'hookring/plugin'

/** A line for each response, written by the engine's logger; the server does not wait for it. */
export default definePlugin(http, {
  name: 'access-log',
  setup: ({ log }) => ({
    onResponse({ method, path, status, bytes, durationMs }) {
      log.info('request', { method, path, status, bytes, durationMs: Math.round(durationMs) })
    },
  }),
})
