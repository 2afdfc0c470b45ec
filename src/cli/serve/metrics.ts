/** `/metrics` and `/healthz` of `hookring serve`. Main thread. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { UsageError } from '../common/errors.js'

export interface MetricsServer {
  readonly address: string
  close(): void
}

interface Scraped {
  readonly contentType: string
  metrics(): Promise<string>
}

export async function serveMetrics(
  { port, host }: { port: number; host: string },
  registry: Scraped,
  isServing: () => boolean,
): Promise<MetricsServer> {
  const server = createServer(async ({ url, method }, response) => {
    const answer = (status: number, text: string, type = 'text/plain; charset=utf-8') =>
      response.writeHead(status, { 'content-type': type }).end(text)
    if (method !== 'GET' && method !== 'HEAD') return answer(405, 'GET only\n')
    if (url === '/healthz') return isServing() ? answer(200, 'serving\n') : answer(503, 'shutting down\n')
    if (url !== '/metrics') return answer(404, 'there is /metrics and /healthz\n')
    answer(200, await registry.metrics(), registry.contentType)
  })
  server.listen(port, host)
  try {
    await once(server, 'listening')
  } catch (error) {
    throw new UsageError('LISTEN_FAILED', `cannot listen on ${host}:${port}: ${(error as Error).message}`)
  }
  const address = server.address() as AddressInfo
  return {
    address: `http://${host}:${address.port}/metrics`,
    close() {
      server.close()
      server.closeAllConnections()
    },
  }
}
