/** The contracts that ship are declared, not defined: what defineContract would have refused at import is looked for here. */
import {
  type Contract,
  connection,
  defineContract,
  delivery,
  exhook1,
  exhook2,
  exhook3,
  http,
  mqtt,
} from 'hookring/contracts'
import { expect, test } from 'vitest'

const SHIPPED: readonly Contract[] = [connection, delivery, exhook1, exhook2, exhook3, http, mqtt]

test.each(SHIPPED.map((contract) => [contract.id, contract] as const))('%s can be defined', (id, contract) => {
  const { name, version, hookpoints, services } = contract
  const defined = defineContract(name, version, hookpoints, { services })
  expect(defined.id).toBe(id)
  for (const [key, { plan, replyPlan }] of Object.entries(contract.hookpoints)) {
    expect({ plan, replyPlan }).toEqual({
      plan: defined.hookpoints[key]?.plan,
      replyPlan: defined.hookpoints[key]?.replyPlan,
    })
    // One plan for all who ask: encoders and readers hang on to it.
    expect(contract.hookpoints[key]?.plan).toBe(plan)
  }
})
