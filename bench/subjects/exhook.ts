/** A contender of case `exhook`; the thread that is measured is the broker's, which asks. */
import { credentials } from '@grpc/grpc-js'
import { createHookEngine, type PluginOptions } from 'hookring'
import { exhook3 } from 'hookring/contracts'
import { type AdmissionEvent, admissionEvents } from '../exhook/admission.js'
import type { ServerRequest } from '../exhook/server-process.js'
import { hookProvider, type ValuedResponse } from '../exhook/wire.js'
import { type Answer, type AskedProcess, type Subject, startProcess } from '../instruments.js'

export interface ExhookOptions {
  readonly contender: 'provider' | 'lane' | 'remote-provider'
}

const START_TIMEOUT_MS = 15_000
const CALL_TIMEOUT_MS = 5_000

export async function open({ contender }: ExhookOptions): Promise<Subject<AdmissionEvent>> {
  if (contender === 'lane') return openEngine({ from: new URL('../plugins/admission.js', import.meta.url) })
  const far = startProcess(new URL('../exhook/server-process.js', import.meta.url))
  const what: ServerRequest = contender === 'provider' ? 'hookring' : 'plain'
  const address = await far.ask<string>(what, START_TIMEOUT_MS)
  return contender === 'provider'
    ? openClient(address, far)
    : openEngine({ from: `http://${address}`, runtime: 'exhook', version: 3 }, far)
}

async function openEngine(plugin: PluginOptions, far?: AskedProcess): Promise<Subject<AdmissionEvent>> {
  const engine = await createHookEngine({ contract: exhook3, plugins: [plugin], timeoutMs: CALL_TIMEOUT_MS })
  return {
    ...admissionEvents(),
    ask: (event) => engine.hooks.onClientAuthenticate(event),
    async close() {
      await engine.close()
      await far?.end()
    },
  }
}

/** A broker that calls a provider, with nothing of hookring in it. */
function openClient(address: string, far: AskedProcess): Subject<AdmissionEvent> {
  const client = new (hookProvider())(address, credentials.createInsecure())
  type Unary = (
    request: AdmissionEvent,
    options: object,
    callback: (error: Error | null, reply?: ValuedResponse) => void,
  ) => void
  const authenticate = (client.OnClientAuthenticate as unknown as Unary).bind(client)
  return {
    ...admissionEvents(),
    ask: (event) =>
      new Promise<Answer>((resolve, reject) =>
        authenticate(event, { deadline: Date.now() + CALL_TIMEOUT_MS }, (error, reply) => {
          if (error !== null) reject(error)
          else resolve({ kind: reply?.type !== 'IGNORE' && reply?.boolResult === false ? 'reject' : 'continue' })
        }),
      ),
    async close() {
      client.close()
      await far.end()
    },
  }
}
