/** The hook of case `http` as a plugin. Runs in a lane. */
import { http } from 'hookring/contracts'
import { definePlugin, reject } from 'hookring/plugin'
import { z } from 'zod'
import { check } from '../http/check.js'

export default definePlugin(http, {
  name: 'request-check',
  config: z.strictObject({ sleepMs: z.number() }),
  setup: ({ config: { sleepMs } }) => ({
    onRequest: (event) => (check(event, sleepMs) ? reject('refused') : undefined),
  }),
})
