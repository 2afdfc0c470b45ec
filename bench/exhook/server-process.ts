/**
 * The far side of two contenders of case `exhook`, in a process of its own: hookring as a provider, or a provider that
 * somebody wrote with grpc-js. Asked once for where it listens.
 */
import { Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData } from '@grpc/grpc-js'
import { createHookEngine } from 'hookring'
import { exhook3 } from 'hookring/contracts'
import { startExhookProvider } from 'hookring/exhook'
import { answerRequests } from '../instruments.js'
import { type AdmissionEvent, isAdmitted } from './admission.js'
import { hookProvider, type ValuedResponse } from './wire.js'

/** Answered with `HOST:PORT`. */
export type ServerRequest = 'hookring' | 'plain'

answerRequests(async (request: ServerRequest) => (request === 'hookring' ? startHookring() : startPlain()))

async function startHookring(): Promise<string> {
  const engine = await createHookEngine({
    contract: exhook3,
    plugins: [{ from: new URL('../plugins/admission.js', import.meta.url) }],
    timeoutMs: 1_000,
  })
  const { address } = await startExhookProvider(engine, { address: '127.0.0.1:0' })
  return address
}

async function startPlain(): Promise<string> {
  const server = new Server()
  server.addService(hookProvider().service, {
    OnProviderLoaded: (_: unknown, respond: sendUnaryData<object>) =>
      respond(null, { hooks: [{ name: 'client.authenticate', topics: [] }] }),
    OnProviderUnloaded: (_: unknown, respond: sendUnaryData<object>) => respond(null, {}),
    OnClientAuthenticate: (
      { request }: ServerUnaryCall<AdmissionEvent, ValuedResponse>,
      respond: sendUnaryData<ValuedResponse>,
    ) =>
      respond(
        null,
        isAdmitted(request.clientinfo.username) ? { type: 'IGNORE' } : { type: 'STOP_AND_RETURN', boolResult: false },
      ),
  })
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    )
  })
  return `127.0.0.1:${port}`
}
