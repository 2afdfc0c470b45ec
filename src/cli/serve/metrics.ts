/** `/metrics`, `/healthz` and `/readyz` of `hookring serve`. Main thread. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { UsageError } from '../common/errors.js'

export interface MetricsServerOptions {
  readonly listen: { readonly port: number; readonly host: string }
  readonly registry: { readonly contentType: string; metrics(): Promise<string> }
  /** Why the process should be started anew, or is on its way out; empty: it should not. */
  unhealthy(): string[]
  /** Why no traffic should be sent here now; empty: it may. */
  unready(): Promise<string[]>
}

export class MetricsServer {
  readonly #options: MetricsServerOptions
  readonly #server: Server

  private constructor(options: MetricsServerOptions) {
    this.#options = options
    this.#server = createServer((request, response) => void this.#answer(request, response))
  }

  /** @throws UsageError LISTEN_FAILED */
  static async open(options: MetricsServerOptions): Promise<MetricsServer> {
    const opened = new MetricsServer(options)
    const { port, host } = options.listen
    opened.#server.listen(port, host)
    try {
      await once(opened.#server, 'listening')
    } catch (error) {
      throw new UsageError('LISTEN_FAILED', `cannot listen on ${host}:${port}: ${(error as Error).message}`)
    }
    return opened
  }

  get address(): string {
    const { port } = this.#server.address() as AddressInfo
    return `http://${this.#options.listen.host}:${port}/metrics`
  }

  close(): void {
    this.#server.close()
    this.#server.closeAllConnections()
  }

  async #answer({ url, method }: IncomingMessage, response: ServerResponse): Promise<void> {
    const send = (status: number, text: string, type = 'text/plain; charset=utf-8') =>
      response.writeHead(status, { 'content-type': type }).end(text)
    const say = (problems: readonly string[], good: string) =>
      problems.length === 0 ? send(200, `${good}\n`) : send(503, `${problems.join('\n')}\n`)
    if (method !== 'GET' && method !== 'HEAD') return void send(405, 'GET only\n')
    const { registry, unhealthy, unready } = this.#options
    try {
      if (url === '/healthz') say(unhealthy(), 'serving')
      else if (url === '/readyz') say(await unready(), 'ready')
      else if (url === '/metrics') send(200, await registry.metrics(), registry.contentType)
      else send(404, 'there is /metrics, /healthz and /readyz\n')
    } catch (error) {
      send(500, `${(error as Error).message}\n`)
    }
  }
}
