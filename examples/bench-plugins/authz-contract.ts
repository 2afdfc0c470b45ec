/** authz@1: may this user do that to this object? Imported by a server and by plugins alike. */
import { defineContract, gate } from 'hookring/contracts'
import { z } from 'zod'

export const authz = defineContract('authz', 1, {
  onRequest: gate(
    z.object({
      user: z.string().regex(/^(alice|bob|carol|user[0-9]{1,3})$/),
      object: z.string().regex(/^\/(orders|invoices|reports)\/[0-9]{1,4}$/),
      action: z.enum(['read', 'write', 'delete']),
    }),
  ),
})
