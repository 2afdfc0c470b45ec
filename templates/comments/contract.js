import { defineContract, gate, observe } from 'hookring/contracts'
import { z } from 'zod'

const comment = z.object({ author: z.string(), text: z.string() })

/** The places at which the server asks its plugins, and those at which it tells them. */
export const comments = defineContract('comments', 1, {
  /** May this comment be published? */
  onComment: gate(comment),
  /** It was published. */
  onPublished: observe(comment),
})
