/**
 * Makes answers of verdicts.
 *
 * | verdict                                   | answer                                                       |
 * |-------------------------------------------|--------------------------------------------------------------|
 * | continue (a failure let pass, too)        | IGNORE: the plugins have no say in it                        |
 * | replace                                   | CONTINUE with `result`, or the message                       |
 * | replace, `isFinal`                        | STOP_AND_RETURN with the same                                |
 * | reject, by a plugin or a failure's policy | STOP_AND_RETURN with false, or the message not to be published |
 *
 * Pure.
 */
import type { Verdict } from '../../contracts/index.js'
import type { ValuedResponse, WireMessage } from './protocol.js'

const IGNORE: ValuedResponse = Object.freeze({ type: 'IGNORE' })
const NO: ValuedResponse = Object.freeze({ type: 'STOP_AND_RETURN', boolResult: false })

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
      if (message === undefined) return NO
      const headers = { ...(message.headers as WireMessage), allow_publish: 'false' }
      return { type: 'STOP_AND_RETURN', message: wireOf({ ...message, headers }) }
    }
    case 'respond':
      throw new Error('no hookpoint of exhook responds')
  }
}

function wireOf(message: WireMessage): WireMessage {
  return { ...message, timestamp: String(message.timestamp) }
}
