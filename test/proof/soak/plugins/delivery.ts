/** Plugins of delivery that do what the run asks of them. Runs in lanes. */
import { delivery } from 'hookring/contracts'
import { definePlugin } from 'hookring/plugin'
import { actingConfig, actingHooks } from '../acting.js'

export default definePlugin(delivery, {
  name: 'delivery-actor',
  config: actingConfig,
  setup: ({ config }) => actingHooks(config),
})
