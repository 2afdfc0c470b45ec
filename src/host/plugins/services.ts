/**
 * Host services: what the server does for plugins that the operator grants it to, by name. Everything that a lane says is
 * checked: that the plugin was granted the service, that somebody provides it, and its input by the contract's schema.
 * Host's thread only.
 */
import type { Contract, ProvidedServices, Services } from '../../contracts/contract.js'
import { MAX_SERVICE_CALLS, type ServiceAnswer, type ServiceCall } from '../../contracts/control.js'
import { type ErrorCode, formatPath, HookringError, thrownText } from '../../contracts/errors.js'

export interface ServiceDesk {
  /** Functions by the names of services; of those given twice the later ones count. @throws HookringError OPTIONS_INVALID */
  provide(services: ProvidedServices<Services>): void
  /** @throws HookringError OPTIONS_INVALID when the contract has no such service */
  checkGrants(granted: readonly string[], plugin: string): void
  /** Answers one lane's plugins; `granted` knows them by their index in the lane. */
  forLane(granted: (plugin: number) => Grant | undefined): (call: ServiceCall) => Promise<ServiceAnswer>
}

export interface Grant {
  readonly plugin: string
  readonly services: readonly string[]
}

type Provided = (input: unknown, caller: { readonly plugin: string }) => unknown

export function createServiceDesk(contract: Contract): ServiceDesk {
  const provided = new Map<string, Provided>()

  function checkName(name: string, where: string): void {
    if (Object.hasOwn(contract.services, name)) return
    const known = Object.keys(contract.services).join(', ') || 'none'
    throw new HookringError(
      'OPTIONS_INVALID',
      `${where}: ${contract.id} has no service ${JSON.stringify(name)}; it has: ${known}`,
      { path: ['services', name] },
    )
  }

  async function answer({ service, input }: ServiceCall, grant: Grant | undefined): Promise<ServiceAnswer> {
    if (grant === undefined || !grant.services.includes(service)) {
      return refusal('SERVICE_UNAVAILABLE', `plugin ${grant?.plugin ?? '(unknown)'} was not granted ${service}`)
    }
    const serve = provided.get(service)
    if (serve === undefined) return refusal('SERVICE_UNAVAILABLE', `nobody provides ${service} to this engine`)
    const checked = contract.services[service]!.input.safeParse(input)
    if (!checked.success) {
      const [issue] = checked.error.issues
      const where = formatPath([service, ...((issue?.path ?? []) as (string | number)[])])
      return refusal('SERVICE_INPUT_INVALID', `${where}: ${issue?.message ?? 'invalid'}`)
    }
    try {
      return { ok: true, output: structuredClone(await serve(checked.data, { plugin: grant.plugin })) }
    } catch (error) {
      const code = error instanceof HookringError ? error.code : 'SERVICE_FAILED'
      return refusal(code, `${service}: ${thrownText(error)}`)
    }
  }

  return {
    provide(services) {
      for (const [name, serve] of Object.entries(services)) {
        checkName(name, 'services')
        if (typeof serve !== 'function') {
          throw new HookringError('OPTIONS_INVALID', `services.${name} must be a function`, {
            path: ['services', name],
          })
        }
        provided.set(name, serve as Provided)
      }
    },
    checkGrants(granted, plugin) {
      for (const name of granted) checkName(name, `plugin ${plugin}: services`)
    },
    forLane(granted) {
      let underWay = 0
      return async (call) => {
        // An honest lane keeps to this by itself.
        if (underWay >= MAX_SERVICE_CALLS) return refusal('SERVICE_OVERLOAD', 'too many host services are under way')
        underWay += 1
        try {
          return await answer(call, granted(call.plugin))
        } finally {
          underWay -= 1
        }
      }
    },
  }
}

function refusal(code: ErrorCode, message: string): ServiceAnswer {
  return { ok: false, code, message: message.slice(0, 4096) }
}
