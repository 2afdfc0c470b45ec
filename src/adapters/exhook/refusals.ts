/**
 * What gRPC refuses by itself: a request that is too large, or cannot be read. It sends a status before any handler has
 * seen the request, and EMQX publishes the message then. Here such a question is answered instead. One interceptor for a
 * server; on the host's thread.
 */
import { Metadata, ServerInterceptingCall, type ServerInterceptor, type StatusObject, status } from '@grpc/grpc-js'

export type PartialStatus = Parameters<ServerInterceptingCall['sendStatus']>[0]

/** What answers in place of a status, by the RPC's path. */
export type Stand = (refusal: PartialStatus, peer: string) => object

/** The broker has given up: nobody would hear an answer. */
const UNHEARD: ReadonlySet<number> = new Set([status.CANCELLED, status.DEADLINE_EXCEEDED])
const OK: StatusObject = { code: status.OK, details: 'OK', metadata: new Metadata() }

export function answerInstead(stands: ReadonlyMap<string, Stand>): ServerInterceptor {
  return (method, call) => {
    const stand = stands.get(method.path)
    if (stand === undefined) return new ServerInterceptingCall(call)
    const sendStatus = call.sendStatus.bind(call)
    let isAnswered = false
    // gRPC's own refusals pass no interceptor: they go by this method of the call itself.
    call.sendStatus = (refusal) => {
      // Each further part of a request that is too large is refused again.
      if (isAnswered) return
      if (refusal.code === status.OK || UNHEARD.has(refusal.code ?? status.UNKNOWN)) {
        sendStatus(refusal)
        return
      }
      isAnswered = true
      call.sendMetadata(new Metadata())
      call.sendMessage(stand(refusal, call.getPeer()), () => sendStatus(OK))
    }
    return new ServerInterceptingCall(call)
  }
}
