/**
 * Makes answers of verdicts, and of what came to none.
 *
 * | what came of a question                    | answer                                                         |
 * |--------------------------------------------|----------------------------------------------------------------|
 * | continue                                   | IGNORE: the plugins have no say in it                          |
 * | replace                                    | CONTINUE with `result`, or the message                         |
 * | replace, `isFinal`                         | STOP_AND_RETURN with the same                                  |
 * | reject by a plugin                         | STOP_AND_RETURN with false, or the message not to be published |
 * | undecided, policy deny                     | as a reject                                                    |
 * | undecided, policy allow                    | IGNORE                                                         |
 *
 * A gRPC status is no answer: EMQX publishes the message then, whatever its `failed_action` says. Pure.
 */
import type { Verdict } from '../../contracts/index.js'
import type { ValuedResponse, WireMessage } from './protocol.js'

const IGNORE: ValuedResponse = Object.freeze({ type: 'IGNORE' })
const NO: ValuedResponse = Object.freeze({ type: 'STOP_AND_RETURN', boolResult: false })
/** What is not published need not come back whole. */
const MAX_REFUSED_PAYLOAD_BYTES = 64 * 1024

/** @param event that was asked about. */
export function answerOf(verdict: Verdict, event: WireMessage): ValuedResponse {
  switch (verdict.kind) {
    case 'continue':
      return IGNORE
    case 'replace': {
      const { message, result, isFinal } = verdict.event as WireMessage
      const type = isFinal === true ? 'STOP_AND_RETURN' : 'CONTINUE'
      if (message === undefined) return { type, boolResult: result === true }
      return { type, message: wireOf(message as WireMessage) }
    }
    case 'reject': {
      const message = event.message as WireMessage | undefined
      return message === undefined ? NO : notPublished(message)
    }
    case 'respond':
      throw new Error('no hookpoint of exhook responds')
  }
}

/**
 * The policy's answer to a question that nobody was asked.
 *
 * @param request as far as it could be read
 */
export function undecidedAnswer(
  action: 'deny' | 'allow',
  { isAboutMessage, request }: { readonly isAboutMessage: boolean; readonly request: WireMessage | null },
): ValuedResponse {
  if (action === 'allow') return IGNORE
  if (!isAboutMessage) return NO
  return notPublished((request?.message as WireMessage | null | undefined) ?? {})
}

/** EMQX 4.3.0 to 4.3.2 number these two the other way round. */
export function inSwappedNumbers(answer: ValuedResponse): ValuedResponse {
  if (answer.type === 'STOP_AND_RETURN') return answer
  return { ...answer, type: answer.type === 'CONTINUE' ? 'IGNORE' : 'CONTINUE' }
}

function notPublished(message: WireMessage): ValuedResponse {
  const headers = { ...(message.headers as WireMessage | undefined), allow_publish: 'false' }
  const payload = message.payload as Uint8Array | undefined
  const isLarge = payload !== undefined && payload.byteLength > MAX_REFUSED_PAYLOAD_BYTES
  const sent = { ...message, headers, ...(isLarge && { payload: new Uint8Array(0) }) }
  return { type: 'STOP_AND_RETURN', message: wireOf(sent) }
}

function wireOf(message: WireMessage): WireMessage {
  return { ...message, timestamp: String(message.timestamp ?? 0) }
}
