/** Sockets on which servers of `hookring serve` listen: TCP, TLS, unix. Main thread. */
import { once } from 'node:events'
import { lstatSync, readFileSync, unlinkSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { resolve } from 'node:path'
import { createSecureContext, createServer as createTlsServer, type Server as TlsServer } from 'node:tls'
import type { ServeAddress } from '../../contracts/serve-config.js'
import { UsageError } from '../common/errors.js'

type TlsFiles = NonNullable<Extract<ServeAddress, { port: number }>['tls']>

export class Listener {
  readonly #server: Server
  /** Reads the certificates again; null: there are none. */
  readonly #renew: (() => void) | null

  private constructor(server: Server, renew: (() => void) | null) {
    this.#server = server
    this.#renew = renew
  }

  /** @throws UsageError LISTEN_FAILED, with what the system said; CONFIG_INVALID for a certificate that cannot be used */
  static async open(address: ServeAddress, folder: string, onConnection: (socket: Socket) => void): Promise<Listener> {
    const listener = createFor(address, folder, onConnection)
    const target = 'path' in address ? { path: resolve(folder, address.path) } : { ...address, tls: undefined }
    if ('path' in target) await clearStaleSocket(target.path)
    listener.server.listen(target)
    try {
      await once(listener.server, 'listening')
    } catch (error) {
      const where = 'path' in target ? target.path : `${target.host}:${target.port}`
      throw new UsageError('LISTEN_FAILED', `cannot listen on ${where}: ${(error as Error).message}`)
    }
    return new Listener(listener.server, listener.renew)
  }

  /** `tcp://127.0.0.1:1883`, `tls://...`, `unix:/run/mqtt.sock`. */
  get address(): string {
    const address = this.#server.address()
    if (address === null || typeof address === 'string') return `unix:${address}`
    const host = address.family === 'IPv6' ? `[${address.address}]` : address.address
    return `${this.#renew === null ? 'tcp' : 'tls'}://${host}:${address.port}`
  }

  /** Connections from now on get the certificates as they are in the files now. @throws UsageError CONFIG_INVALID */
  renewCertificates(): void {
    this.#renew?.()
  }

  /** Takes no more connections; those that there are stay. */
  refuse(): void {
    this.#server.close()
  }
}

/** Removes a socket file that nobody listens on any more: what a killed server leaves behind. */
export async function clearStaleSocket(path: string): Promise<void> {
  if (lstatSync(path, { throwIfNoEntry: false })?.isSocket() !== true) return
  const socket = connect(path)
  const isStale = await new Promise<boolean>((tell) => {
    socket.once('connect', () => tell(false))
    socket.once('error', (error: NodeJS.ErrnoException) => tell(error.code === 'ECONNREFUSED'))
  })
  socket.destroy()
  if (isStale) unlinkSync(path)
}

/** The certificates, which make a server. @throws UsageError CONFIG_INVALID */
export function readCertificates({ cert, key, ca }: TlsFiles, folder: string) {
  try {
    const read = (file: string) => readFileSync(resolve(folder, file))
    const pems = { cert: read(cert), key: read(key), ...(ca !== undefined && { ca: read(ca) }) }
    createSecureContext(pems)
    return pems
  } catch (error) {
    throw new UsageError('CONFIG_INVALID', `tls: ${(error as Error).message}`)
  }
}

function createFor(
  address: ServeAddress,
  folder: string,
  onConnection: (socket: Socket) => void,
): { server: Server; renew: (() => void) | null } {
  if ('path' in address || address.tls === undefined) {
    return { server: createServer({ noDelay: true }, onConnection), renew: null }
  }
  const { tls } = address
  const isAsked = tls.ca !== undefined
  const options = { noDelay: true, requestCert: isAsked, rejectUnauthorized: isAsked }
  const server: TlsServer = createTlsServer({ ...readCertificates(tls, folder), ...options }, onConnection)
  // Who cannot shake hands has said so to itself; a server goes on.
  server.on('tlsClientError', () => {})
  return { server, renew: () => server.setSecureContext(readCertificates(tls, folder)) }
}
