/**
 * The contract of the siege: hookpoints that the attacker's plugins share with nobody, hookpoints that they share with
 * honest neighbours, and hookpoints that are the neighbours' own. Imported by the campaign and by the plugins in their lanes.
 */
import { defineContract, gate, observe, respond, transform, u32 } from 'hookring/contracts'
import { z } from 'zod'

const siegeEvent = z.object({
  /** Numbers the calls of a campaign. */
  id: u32(),
  text: z.string().default(''),
  /** Tells the attacker to begin: an attack's name. Empty in all other calls. */
  order: z.string().default(''),
  /** What the attack's randomness comes from. */
  seed: u32().default(0),
})

/** The layout cannot say that `even` is even: the host asks zod. */
const siegeAnswer = z.object({ id: u32(), text: z.string(), even: z.int().multipleOf(2).optional() })

export const siege = defineContract('siege', 1, {
  onGate: gate(siegeEvent),
  onTransform: transform(siegeEvent),
  onRespond: respond(siegeEvent, siegeAnswer),
  onObserve: observe(siegeEvent),
  onMixedGate: gate(siegeEvent),
  onMixedParallel: gate(siegeEvent, { order: 'parallel' }),
  onMixedTransform: transform(siegeEvent),
  onNorth: gate(siegeEvent),
  onSouth: transform(siegeEvent),
})
