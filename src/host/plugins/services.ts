/**
 * Host services: what the server does for plugins, by name, if the operator has granted it to them. What a lane says is
 * checked: that the plugin was granted the service, that the server provides it, and the input by the contract's schema.
 * Host's thread only.
 */
import { deserialize } from 'node:v8'
import { safeParse } from '../../contracts/ask-schema.js'
import type { Contract, ProvidedServices, Service, Services } from '../../contracts/contract.js'
import { MAX_SERVICE_CALLS, type ServiceAnswer, type ServiceCall } from '../../contracts/control.js'
import { type ErrorCode, formatPath, HookringError, thrownText } from '../../contracts/errors.js'
import { holdsSecret, shownIssue } from '../../contracts/secret.js'
import type { Bulkhead } from '../model/bulkhead.js'

interface Grant {
  readonly plugin: string
  readonly services: readonly string[]
}

type ServiceRefusal = Extract<ServiceAnswer, { ok: false }>

type Provided = (input: unknown, caller: { readonly plugin: string }) => unknown

export class ServiceRegistry {
  readonly #contract: Contract
  /** The largest input, in bytes after serialisation. */
  readonly #maxServiceBytes: number
  readonly #provided = new Map<string, Provided>()

  constructor({ contract, maxServiceBytes }: { contract: Contract; maxServiceBytes: number }) {
    this.#contract = contract
    this.#maxServiceBytes = maxServiceBytes
  }

  /**
   * Adds functions by the names of services; a later function replaces an earlier one.
   * @throws HookringError OPTIONS_INVALID
   */
  provide(services: ProvidedServices<Services>): void {
    for (const [name, serve] of Object.entries(services)) {
      this.#checkName(name, 'services')
      if (typeof serve !== 'function') {
        throw new HookringError('OPTIONS_INVALID', `services.${name} must be a function`, {
          path: ['services', name],
        })
      }
      this.#provided.set(name, serve as Provided)
    }
  }

  /** @throws HookringError OPTIONS_INVALID when the contract has no such service */
  checkGrants(granted: readonly string[], plugin: string): void {
    for (const name of granted) this.#checkName(name, `plugin ${plugin}: services`)
  }

  /** Answers the service calls of one lane of the bulkhead. */
  forLane(bulkhead: Bulkhead): (call: ServiceCall) => Promise<ServiceAnswer> {
    let underWay = 0
    return async (call) => {
      // An honest lane keeps to this bound by itself.
      if (underWay >= MAX_SERVICE_CALLS) return refusal('SERVICE_OVERLOAD', 'too many host services are under way')
      underWay += 1
      try {
        return await this.#answer(call, grantOf(bulkhead, call.plugin))
      } finally {
        underWay -= 1
      }
    }
  }

  #checkName(name: string, where: string): void {
    const { id, services } = this.#contract
    if (Object.hasOwn(services, name)) return
    const known = Object.keys(services).join(', ') || 'none'
    throw new HookringError(
      'OPTIONS_INVALID',
      `${where}: ${id} has no service ${JSON.stringify(name)}; it has: ${known}`,
      { path: ['services', name] },
    )
  }

  async #answer({ service, input }: ServiceCall, grant: Grant | undefined): Promise<ServiceAnswer> {
    if (grant === undefined || !grant.services.includes(service)) {
      return refusal('SERVICE_UNAVAILABLE', `plugin ${grant?.plugin ?? '(unknown)'} was not granted ${service}`)
    }
    const serve = this.#provided.get(service)
    if (serve === undefined) return refusal('SERVICE_UNAVAILABLE', `the server does not provide ${service}`)
    const most = this.#maxServiceBytes
    if (input.length > most) {
      const message = `${service}: its input takes ${input.length} bytes, and maxServiceBytes is ${most}`
      return refusal('SERVICE_INPUT_INVALID', message)
    }
    const checked = checkedInput(this.#contract.services[service]!, service, input)
    if (!checked.ok) return checked
    try {
      return { ok: true, output: structuredClone(await serve(checked.value, { plugin: grant.plugin })) }
    } catch (error) {
      const code = error instanceof HookringError ? error.code : 'SERVICE_FAILED'
      return refusal(code, `${service}: ${thrownText(error)}`)
    }
  }
}

/** @param index the plugin's index in the bulkhead */
function grantOf(bulkhead: Bulkhead, index: number): Grant | undefined {
  // While the lane starts, only its spec says which plugin that is.
  const { services, name } = bulkhead.spec?.plugins[index] ?? {}
  if (services === undefined || name === undefined) return undefined
  return { plugin: bulkhead.plugins[index]?.name ?? name, services }
}

/** Validates an input. A schema may throw, for example for an input that is nested too deeply for it. */
function checkedInput(
  service: Service,
  name: string,
  input: Uint8Array,
): { ok: true; value: unknown } | ServiceRefusal {
  try {
    const checked = safeParse(service.input, valueIn(input))
    if (checked.success) return { ok: true, value: checked.data }
    const { path, message } = shownIssue(service.input, checked.error.issues[0] ?? { path: [], message: 'invalid' })
    const where = formatPath([name, ...(path as (string | number)[])])
    return refusal('SERVICE_INPUT_INVALID', `${where}: ${message}`)
  } catch (error) {
    const why = holdsSecret(service.input) ? 'why is not shown, as it holds a secret' : thrownText(error)
    return refusal('SERVICE_INPUT_INVALID', `${name}: its input could not be checked: ${why}`)
  }
}

/** The value in `input`; a symbol, which no schema accepts, if there is none or it is nested too deeply for V8. */
function valueIn(input: Uint8Array): unknown {
  try {
    return deserialize(input)
  } catch {
    return Symbol('no value')
  }
}

function refusal(code: ErrorCode, message: string): ServiceRefusal {
  return { ok: false, code, message: message.slice(0, 4096) }
}
