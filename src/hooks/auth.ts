/**
 * The auth plugin of mqtt@1: names and passwords of clients, against credentials. Runs in a lane. An unknown name costs as much as a wrong password, so that names cannot be found out by time.
 */
import { randomBytes, timingSafeEqual } from 'node:crypto'
import { z } from 'zod'
import { MQTT_REASON, type MqttClientInfo, mqtt } from '../contracts/mqtt.js'
import { definePlugin, reject } from '../plugin/index.js'
import { digestOf, matchesHash, parseHash, type ScryptHash } from './password-hash.js'

export const authConfig = z
  .strictObject({
    /** Passwords by user name, plain or as hashPassword makes them. Left out: everybody may in. `{}`: nobody may. */
    credentials: z.record(z.string(), z.string()).optional(),
  })
  .prefault({})
export type AuthConfig = z.input<typeof authConfig>

type CredentialCheck = (login: { client: MqttClientInfo; password: Uint8Array | null }) => Promise<boolean>

export default definePlugin(mqtt, {
  name: 'auth',
  config: authConfig,
  setup({ config: { credentials } }) {
    if (credentials === undefined) return {}
    const check = createCredentialCheck(credentials)
    return {
      async onConnect({ client, password }) {
        const login = { client, password: password === null ? null : Uint8Array.from(password) }
        if (await check(login)) return
        return reject('bad user name or password', MQTT_REASON.badUserNameOrPassword)
      },
    }
  },
})

function createCredentialCheck(credentials: Readonly<Record<string, string>>): CredentialCheck {
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
