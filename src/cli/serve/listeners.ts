/** Sockets on which servers of `hookring serve` listen: TCP, TLS, unix. Main thread. */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { resolve } from 'node:path'
import { createServer as createTlsServer } from 'node:tls'
import type { ServeAddress } from '../../contracts/serve-config.js'
import { UsageError } from '../common/errors.js'

export interface Listener {
  /** `tcp://127.0.0.1:1883`, `tls://...`, `unix:/run/mqtt.sock`. */
  readonly address: string
  /** Takes no more connections; those that there are stay. */
  refuse(): void
}

/** @throws UsageError LISTEN_FAILED, with what the system said; CONFIG_INVALID for a certificate that cannot be used */
export async function listen(
  address: ServeAddress,
  folder: string,
  onConnection: (socket: Socket) => void,
): Promise<Listener> {
  const server = createFor(address, folder, onConnection)
  const target =
    'path' in address ? { path: resolve(folder, address.path) } : { port: address.port, host: address.host }
  server.listen(target)
  try {
    await once(server, 'listening')
  } catch (error) {
    const where = 'path' in target ? target.path : `${target.host}:${target.port}`
    throw new UsageError('LISTEN_FAILED', `cannot listen on ${where}: ${(error as Error).message}`)
  }
  return { address: addressOf(server, 'tls' in address && address.tls !== undefined), refuse: () => server.close() }
}

function createFor(address: ServeAddress, folder: string, onConnection: (socket: Socket) => void): Server {
  if ('path' in address || address.tls === undefined) return createServer({ noDelay: true }, onConnection)
  const { cert, key, ca } = address.tls
  try {
    const read = (file: string) => readFileSync(resolve(folder, file))
    const options = {
      cert: read(cert),
      key: read(key),
      ...(ca !== undefined && { ca: read(ca) }),
      noDelay: true,
      requestCert: ca !== undefined,
      rejectUnauthorized: ca !== undefined,
    }
    const server = createTlsServer(options, onConnection)
    // Who cannot shake hands has said so to itself; a server goes on.
    server.on('tlsClientError', () => {})
    return server
  } catch (error) {
    throw new UsageError('CONFIG_INVALID', `tls: ${(error as Error).message}`)
  }
}

function addressOf(server: Server, isTls: boolean): string {
  const address = server.address()
  if (address === null || typeof address === 'string') return `unix:${address}`
  const host = address.family === 'IPv6' ? `[${address.address}]` : address.address
  return `${isTls ? 'tls' : 'tcp'}://${host}:${address.port}`
}
