/**
 * Which brokers number the types of answers otherwise. EMQX 4.3.0 to 4.3.2 have IGNORE = 0 and CONTINUE = 1, later ones of
 * emqx.exhook.v1 the other way round. A broker says its version when it loads the provider; its requests come on several
 * connections, so that it is known by its address. One for a provider; on the host's thread.
 */
import type { WireMessage } from './protocol.js'

/** Addresses that are remembered; the one that has loaded the provider first is forgotten first. */
const MAX_BROKERS = 1024
const SWAPPED = /^[ev]?4\.3\.[0-2](?!\d)/

export class BrokerVersions {
  readonly #byHost = new Map<string, string>()

  /** @param peer `address:port`; of a unix socket its name */
  loaded(peer: string, request: WireMessage): void {
    const version = (request.broker as { version?: string } | null | undefined)?.version
    if (version === undefined || version === '') return
    const host = hostOf(peer)
    this.#byHost.delete(host)
    this.#byHost.set(host, version)
    if (this.#byHost.size > MAX_BROKERS) this.#byHost.delete(this.#byHost.keys().next().value as string)
  }

  isSwapped(peer: string, request: WireMessage | null): boolean {
    const own = (request?.meta as { version?: string } | null | undefined)?.version
    const version = own === undefined || own === '' ? this.#byHost.get(hostOf(peer)) : own
    return version !== undefined && SWAPPED.test(version)
  }
}

function hostOf(peer: string): string {
  return peer.replace(/:\d+$/, '')
}
