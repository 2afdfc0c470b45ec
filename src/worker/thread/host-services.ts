/**
 * Host services as plugins see them: functions that ask over the control plane and reject with a coded error. The lane's
 * thread only.
 */
import { type HostControl, MAX_SERVICE_CALLS } from '../../contracts/control.js'
import { HookringError, thrownText } from '../../contracts/errors.js'
import type { PluginServices } from '../../plugin/setup.js'

export interface HostServices {
  /** The functions of one plugin: its index in the lane, and what it was granted. */
  of(plugin: number, granted: readonly string[]): PluginServices
  /** Answers that are awaited: they need an event loop to arrive on. */
  underWay(): number
}

export function createHostServices(host: Pick<HostControl, 'serve'>): HostServices {
  let underWay = 0

  async function ask(plugin: number, service: string, input: unknown): Promise<unknown> {
    if (underWay >= MAX_SERVICE_CALLS) {
      throw new HookringError(
        'SERVICE_OVERLOAD',
        `${service}: ${MAX_SERVICE_CALLS} host services are under way in this lane; await some of them`,
      )
    }
    underWay += 1
    try {
      const answer = await host.serve({ plugin, service, input }).catch((error: unknown) => {
        throw new HookringError('SERVICE_INPUT_INVALID', `${service}: its input cannot cross: ${thrownText(error)}`)
      })
      if (answer.ok) return answer.output
      throw new HookringError(answer.code, answer.message)
    } finally {
      underWay -= 1
    }
  }

  return {
    of: (plugin, granted) =>
      Object.freeze(
        Object.fromEntries(granted.map((service) => [service, (input: unknown) => ask(plugin, service, input)])),
      ),
    underWay: () => underWay,
  }
}
