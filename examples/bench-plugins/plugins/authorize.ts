/** casbin as a plugin: role-based access, decided by a model and a policy that are parsed once per lane. */
import { newEnforcer, newModelFromString, StringAdapter } from 'casbin'
import { definePlugin, reject } from 'hookring/plugin'
import { z } from 'zod'
import { authz } from '../authz-contract.js'

const MODEL = `
[request_definition]
r = sub, obj, act

[policy_definition]
p = sub, obj, act

[role_definition]
g = _, _

[policy_effect]
e = some(where (p.eft == allow))

[matchers]
m = g(r.sub, p.sub) && keyMatch(r.obj, p.obj) && r.act == p.act
`

const POLICY = `
p, clerk, /orders/*, read
p, clerk, /orders/*, write
p, accountant, /invoices/*, read
p, accountant, /invoices/*, write
p, accountant, /reports/*, read
p, admin, /*, read
p, admin, /*, write
p, admin, /*, delete
g, alice, admin
g, bob, clerk
g, carol, accountant
`

export default definePlugin(authz, {
  name: 'authorize',
  config: z.object({ policy: z.string().default(POLICY) }).default({ policy: POLICY }),
  async setup({ config }) {
    const enforcer = await newEnforcer(newModelFromString(MODEL), new StringAdapter(config.policy.trim()))
    return {
      async onRequest({ user, object, action }) {
        if (!(await enforcer.enforce(user, object, action))) return reject(`${user} may not ${action} ${object}`)
      },
    }
  },
})
