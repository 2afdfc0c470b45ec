/** Plugins of shop that do what the run asks of them. Runs in lanes. */

import { definePlugin } from 'hookring/plugin'
import { actingConfig, actingHooks } from '../acting.js'
import { shop } from '../contracts.js'

export default definePlugin(shop, {
  name: 'shop-actor',
  config: actingConfig,
  setup: ({ config }) => actingHooks(config),
})
