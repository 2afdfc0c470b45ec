/**
 * What a guest gets in place of hookring's own files. A plugin needs a contract's name, version and hookpoints, and none of
 * the schemas and codecs behind them, which take a guest ten times as long to load as all the rest. It is made on the
 * server's thread, which has loaded the contracts, and sent with each job: a bundling process starts sooner without them.
 */
import * as connectionModule from '../../../contracts/connection.js'
import { type Contract, HOOKPOINT_KINDS } from '../../../contracts/contract.js'
import * as deliveryModule from '../../../contracts/delivery.js'
import * as exhook1Module from '../../../contracts/exhook/exhook1.js'
import * as exhook2Module from '../../../contracts/exhook/exhook2.js'
import * as exhook3Module from '../../../contracts/exhook/exhook3.js'
import * as httpModule from '../../../contracts/http.js'
import * as mqttModule from '../../../contracts/mqtt.js'

let made: Readonly<Record<string, string>> | null = null

/** Texts by the file that they replace, a path in the folder of contracts. */
export function guestParts(): Readonly<Record<string, string>> {
  made ??= {
    ...REPLACED,
    ...Object.fromEntries(Object.entries(SHIPPED).map(([name, exported]) => [name, contractsIn(exported)])),
  }
  return made
}

const REPLACED: Readonly<Record<string, string>> = {
  // Definitions are checked where the engine's own copy of the contract is made.
  'contract.js': `
const point = (kind, event, reply, options) => Object.freeze({
  kind, event, reply, order: options?.order ?? 'sequential', maxReplyBytes: options?.maxReplyBytes ?? null,
})
export const gate = (event, options) => point('gate', event, null, options)
export const observe = (event) => point('observe', event, null)
export const transform = (event, options) => point('transform', event, null, options)
export const respond = (event, reply, options) => point('respond', event, reply, options)
export const service = (input, output) => Object.freeze({ input, output })
export function defineContract(name, version, hookpoints, options) {
  return Object.freeze({
    name, version, id: \`\${name}@\${version}\`,
    hookpoints: Object.freeze({ ...hookpoints }), services: Object.freeze({ ...options?.services }),
  })
}
export function declareContract(name, version, define) {
  const { hookpoints, services } = define()
  return defineContract(name, version, hookpoints, { services })
}
export const HOOKPOINT_KINDS = ${JSON.stringify(HOOKPOINT_KINDS)}
`,
  'codec/memory.js': `
const prototype = Object.getPrototypeOf(Uint8Array.prototype)
const tagOf = Object.getOwnPropertyDescriptor(prototype, Symbol.toStringTag).get
const lengthOf = Object.getOwnPropertyDescriptor(prototype, 'length').get
export const isBytes = (value) => tagOf.call(value) === 'Uint8Array'
export const bytesLength = (value) => lengthOf.call(value)
`,
}

/** Contracts that ship, by their file. One that is missing here is taken as it is written, with zod. */
const SHIPPED: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  'connection.js': connectionModule,
  'delivery.js': deliveryModule,
  'http.js': httpModule,
  'mqtt.js': mqttModule,
  'exhook/exhook1.js': exhook1Module,
  'exhook/exhook2.js': exhook2Module,
  'exhook/exhook3.js': exhook3Module,
}

function contractsIn(exported: Readonly<Record<string, unknown>>): string {
  return Object.entries(exported)
    .map(([key, value]) => `export const ${key} = ${isContract(value) ? contractText(value) : JSON.stringify(value)}`)
    .join('\n')
}

function isContract(value: unknown): value is Contract {
  return typeof value === 'object' && value !== null && 'hookpoints' in value
}

function contractText({ name, version, id, hookpoints }: Contract): string {
  const kinds = Object.entries(hookpoints).map(([key, { kind, order }]) => [key, { kind, order }])
  return JSON.stringify({ name, version, id, hookpoints: Object.fromEntries(kinds), services: {} })
}
