/** The hook of case `mqtt`: lets every message pass, after `sleepMs` for which it blocks its thread. Runs in a lane. */
import { mqtt } from 'hookring/contracts'
import { definePlugin } from 'hookring/plugin'
import { z } from 'zod'
import { block } from '../mqtt/block.js'

export default definePlugin(mqtt, {
  name: 'gate-that-sleeps',
  config: z.strictObject({ sleepMs: z.number() }),
  setup: ({ config: { sleepMs } }) => ({
    onPublish: () => block(sleepMs),
  }),
})
