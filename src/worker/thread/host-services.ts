/**
 * Host services as plugins see them: functions that ask over the control plane and reject with a coded error. The lane's
 * thread only.
 */
import { serialize } from 'node:v8'
import { type HostControl, MAX_SERVICE_CALLS } from '../../contracts/control.js'
import { HookringError, thrownText } from '../../contracts/errors.js'
import type { PluginServices } from '../../plugin/setup.js'

interface ServiceGrant {
  /** The plugin's index in the lane. */
  readonly plugin: number
  readonly services: readonly string[]
  /** Of an input, serialised. */
  readonly maxServiceBytes: number
}

export interface HostServices {
  /** The functions of one plugin. */
  of(grant: ServiceGrant): PluginServices
  /** Answers that are awaited: they need an event loop to arrive on. */
  underWay(): number
}

export function createHostServices(host: Pick<HostControl, 'serve'>): HostServices {
  let underWay = 0

  async function ask({ plugin, maxServiceBytes }: ServiceGrant, service: string, input: unknown): Promise<unknown> {
    if (underWay >= MAX_SERVICE_CALLS) {
      throw new HookringError(
        'SERVICE_OVERLOAD',
        `${service}: ${MAX_SERVICE_CALLS} host services are under way in this lane; await some of them`,
      )
    }
    underWay += 1
    try {
      const answer = await host.serve({ plugin, service, input: serialized(service, input, maxServiceBytes) })
      if (answer.ok) return answer.output
      throw new HookringError(answer.code, answer.message)
    } finally {
      underWay -= 1
    }
  }

  return {
    of: (grant) =>
      Object.freeze(
        Object.fromEntries(grant.services.map((service) => [service, (input: unknown) => ask(grant, service, input)])),
      ),
    underWay: () => underWay,
  }
}

/** @throws HookringError SERVICE_INPUT_INVALID */
function serialized(service: string, input: unknown, maxServiceBytes: number): Uint8Array {
  let bytes: Uint8Array
  try {
    bytes = serialize(input)
  } catch (error) {
    throw new HookringError('SERVICE_INPUT_INVALID', `${service}: its input cannot cross: ${thrownText(error)}`)
  }
  if (bytes.length <= maxServiceBytes) return bytes
  const message = `${service}: its input takes ${bytes.length} bytes, and maxServiceBytes is ${maxServiceBytes}`
  throw new HookringError('SERVICE_INPUT_INVALID', message)
}
