/** Plugins of feed that do what the run asks of them. Runs in lanes. */

import { definePlugin } from 'hookring/plugin'
import { actingConfig, actingHooks } from '../acting.js'
import { feed } from '../contracts.js'

export default definePlugin(feed, {
  name: 'feed-actor',
  config: actingConfig,
  setup: ({ config }) => actingHooks(config),
})
