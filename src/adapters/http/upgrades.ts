/** A client that asks for a WebSocket: the gate before the handshake, and the response if it is not to have one. Host's thread only. */
import { Buffer } from 'node:buffer'
import { type IncomingMessage, STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Hookpoints } from '../../contracts/index.js'
import { GONE, type HttpHooks } from './hooks.js'
import type { CheckedReply, Outcome } from './outcomes.js'
import { hasNoBody } from './replies.js'
import { NodeRequest } from './request.js'

const LEFT = new Error('the client has left')

export function upgradeRequest<Points extends Hookpoints>(
  hooks: HttpHooks<Points>,
  message: IncomingMessage,
): NodeRequest {
  const { method = '', url = '' } = message
  const parts = { method, target: url, route: null, requestId: hooks.requestIdOf(message) }
  const address = () => hooks.addressOf(message, () => message.socket?.remoteAddress)
  return new NodeRequest(parts, { message, raw: message, address })
}

/** Never rejects. While it is asked, the socket has somebody who hears its errors. */
export async function askUpgrade<Points extends Hookpoints>(
  hooks: HttpHooks<Points>,
  request: NodeRequest,
  socket: Duplex,
): Promise<Outcome> {
  const leaving = new AbortController()
  const onLeft = () => leaving.abort(LEFT)
  const events = ['error', 'close', 'end']
  for (const event of events) socket.on(event, onLeft)
  const outcome = await hooks.ask('onUpgrade', request, leaving.signal)
  for (const event of events) socket.off(event, onLeft)
  return socket.destroyed ? GONE : outcome
}

/** Sends the response to who is not to have a socket, or nothing to who has left, and ends the connection. */
export function refuseUpgrade<Points extends Hookpoints>(
  hooks: HttpHooks<Points>,
  outcome: Outcome,
  { request, socket }: { readonly request: NodeRequest; readonly socket: Duplex },
): void {
  if (outcome.kind !== 'refused' && outcome.kind !== 'undecided') {
    socket.destroy()
    return
  }
  socket.on('error', () => socket.destroy())
  socket.once('finish', () => socket.destroy())
  socket.end(responseText(hooks.replyTo(outcome, request)))
}

function responseText({ status, headers, body }: CheckedReply): Buffer {
  const lines = [`HTTP/1.1 ${status} ${(STATUS_CODES as Record<number, string | undefined>)[status] ?? ''}`]
  for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`)
  if (!hasNoBody(status)) lines.push(`content-length: ${body.length}`)
  lines.push('connection: close', '', '')
  return Buffer.concat([Buffer.from(lines.join('\r\n'), 'latin1'), body])
}
