/** An honest plugin in a bulkhead of its own: its verdicts are a pure function of the event. */
import { definePlugin, reject, replace } from 'hookring/plugin'
import { z } from 'zod'
import { siege } from '../contract.mjs'
import { gateVerdict, sealed } from '../verdicts.mjs'

export default definePlugin(siege, {
  name: 'neighbour',
  config: z.object({ hooks: z.array(z.string()) }),
  setup({ plugin, config }) {
    const ask = (event) => {
      const refusal = gateVerdict(plugin, event)
      return refusal === null ? undefined : reject(refusal.reason, refusal.code)
    }
    const change = (event) => replace({ ...event.copy(), text: sealed(plugin, event) })
    return Object.fromEntries(
      config.hooks.map((name) => [name, siege.hookpoints[name].kind === 'transform' ? change : ask]),
    )
  },
})
