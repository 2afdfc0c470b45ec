/** comlink's adapter for Node's message ports, which ships without types of its own for the path it is imported by. */
import type { MessagePort, Worker } from 'node:worker_threads'
import type { Endpoint } from 'comlink'

export async function nodeEndpoint(port: MessagePort | Worker): Promise<Endpoint> {
  const path: string = 'comlink/dist/esm/node-adapter.mjs'
  const adapter = (await import(path)) as { default(port: MessagePort | Worker): Endpoint }
  return adapter.default(port)
}
