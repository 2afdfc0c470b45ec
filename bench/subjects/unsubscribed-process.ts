/**
 * Case `unsubscribed`: calls to a gate that no plugin subscribes to, next to a plain async function, in one process and
 * in turns. Whole batches are timed: a clock read per call would cost more than the call.
 */
import { createHookEngine } from 'hookring'
import { delivery } from 'hookring/contracts'
import { loginAuditor } from 'hookring/hooks'
import { type DeliveryEvent, deliveryEvents } from '../contenders/delivery-events.js'
import { answerRequests, median } from '../instruments.js'

export interface UnsubscribedOptions {
  readonly rounds: number
  readonly callsPerRound: number
}

export interface UnsubscribedFigures {
  readonly inlineNs: number
  readonly unsubscribedNs: number
}

const CONTINUE = { kind: 'continue' }

answerRequests(async ({ rounds, callsPerRound }: UnsubscribedOptions): Promise<UnsubscribedFigures> => {
  // An engine at work, only not at this hookpoint.
  const engine = await createHookEngine({ contract: delivery, plugins: [loginAuditor()] })
  const { events } = deliveryEvents()
  const plain = async (_event: DeliveryEvent): Promise<{ kind: string }> => CONTINUE
  const unsubscribed = (event: DeliveryEvent): Promise<{ kind: string }> => engine.hooks.onMessageEnqueue(event)

  // One loop for each: a loop shared by two functions would be compiled for neither.
  const timePlain = async (): Promise<number> => {
    const startMs = performance.now()
    for (let call = 0; call < callsPerRound; call++) await plain(events[call & 1023] as DeliveryEvent)
    return ((performance.now() - startMs) * 1e6) / callsPerRound
  }
  const timeUnsubscribed = async (): Promise<number> => {
    const startMs = performance.now()
    for (let call = 0; call < callsPerRound; call++) await unsubscribed(events[call & 1023] as DeliveryEvent)
    return ((performance.now() - startMs) * 1e6) / callsPerRound
  }

  await timePlain()
  await timeUnsubscribed()
  const [inlineNs, unsubscribedNs]: [number[], number[]] = [[], []]
  for (let round = 0; round < rounds; round++) {
    inlineNs.push(await timePlain())
    unsubscribedNs.push(await timeUnsubscribed())
  }
  await engine.close()
  return { inlineNs: median(inlineNs), unsubscribedNs: median(unsubscribedNs) }
})
