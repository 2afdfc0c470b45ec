/** The contract of the attacks: what the attacker is asked, and what its neighbours are. */
import { bytes, defineContract, gate, respond, transform } from 'hookring/contracts'
import { z } from 'zod'

const event = z.object({ text: z.string(), id: z.int(), blob: bytes() })

export const attacks = defineContract('attacks', 1, {
  onGate: gate(event),
  onTransform: transform(event),
  onRespond: respond(event, z.object({ text: z.string() })),
  /** Asked of another plugin of the attacker's runtime, in a bulkhead of its own; carries a secret. */
  onVictim: gate(event),
  /** Asked of an honest module in a third bulkhead. */
  onNeighbour: gate(event),
})
