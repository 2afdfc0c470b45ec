/**
 * The auth plugin of mqtt@1: names and passwords of clients, against credentials or by a function of the operator's. Runs
 * in a lane. An unknown name costs as much as a wrong password, so that names cannot be found out by time.
 */
import { randomBytes, timingSafeEqual } from 'node:crypto'
import { pathToFileURL } from 'node:url'
import { z } from 'zod/v4'
import { MQTT_REASON, type MqttClientInfo, mqtt } from '../contracts/mqtt.js'
import type { AuthConfig, Takes } from '../contracts/plugin-configs.js'
import { definePlugin, reject } from '../plugin/index.js'
import { digestOf, matchesHash, parseHash, type ScryptHash } from './password-hash.js'

export type { AuthConfig }

export const authConfig = z
  .strictObject({
    /** Passwords by user name, plain or as hashPassword makes them. Left out: everybody may in. `{}`: nobody may. */
    credentials: z.record(z.string(), z.string()).optional(),
    /**
     * A module whose default export decides in their place, `(login: Login) => boolean | Promise<boolean>`: an absolute
     * path or a file: URL. It is loaded in the lane; `credentials` is ignored then.
     */
    validator: z.string().optional(),
  })
  .prefault({})
true satisfies Takes<typeof authConfig, AuthConfig>

/** What a validator is given. The password is null when the client sent none. */
export interface Login {
  readonly client: MqttClientInfo
  readonly password: Uint8Array | null
}
export type AuthValidator = (login: Login) => boolean | Promise<boolean>

export default definePlugin(mqtt, {
  name: 'auth',
  config: authConfig,
  async setup({ config: { credentials, validator } }) {
    if (validator === undefined && credentials === undefined) return {}
    const check = validator === undefined ? createCredentialCheck(credentials ?? {}) : await loadValidator(validator)
    return {
      async onConnect(event) {
        // A copy: checks may take longer than the event's place in the ring is theirs.
        const { client, password } = event.copy()
        // Anything else than true is a no: a validator that forgets its answer must not let anybody in.
        if ((await check({ client, password })) === true) return
        return reject('bad user name or password', MQTT_REASON.badUserNameOrPassword)
      },
    }
  },
})

async function loadValidator(path: string): Promise<AuthValidator> {
  const url = path.startsWith('file:') ? path : pathToFileURL(path).href
  const { default: validator } = (await import(url)) as { default?: unknown }
  if (typeof validator !== 'function')
    throw new TypeError(`the validator ${path} has no function as its default export`)
  return validator as AuthValidator
}

function createCredentialCheck(credentials: Readonly<Record<string, string>>): AuthValidator {
  const key = randomBytes(32)
  const plain = new Map<string, Buffer>()
  const hashed = new Map<string, ScryptHash>()
  let dearest: ScryptHash | null = null
  for (const [name, secret] of Object.entries(credentials)) {
    const hash = parseHash(secret)
    if (hash === null) plain.set(name, digestOf(key, secret))
    else hashed.set(name, hash)
    if (hash !== null && (dearest === null || hash.cost.N * hash.cost.r > dearest.cost.N * dearest.cost.r))
      dearest = hash
  }
  const nobody = randomBytes(32)
  return async ({ client: { username }, password }) => {
    const name = username ?? ''
    const given = password ?? new Uint8Array()
    // Both comparisons, for every name: what there is to compare with must not show in the time.
    const isPlain = timingSafeEqual(digestOf(key, given), plain.get(name) ?? nobody)
    const hash = hashed.get(name)
    const compared = hash ?? dearest
    const isHashed = compared !== null && (await matchesHash(given, compared)) && hash !== undefined
    return username !== null && password !== null && (isPlain || isHashed)
  }
}
