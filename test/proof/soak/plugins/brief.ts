/** Plugins of brief that do what the run asks of them. Runs in lanes. */

import { definePlugin } from 'hookring/plugin'
import { actingConfig, actingHooks } from '../acting.js'
import { brief } from '../contracts.js'

export default definePlugin(brief, {
  name: 'brief-actor',
  config: actingConfig,
  setup: ({ config }) => actingHooks(config),
})
