/**
 * Runs the delivery server with the plugins that ship with hookring until SIGTERM or SIGINT.
 * Environment: HOST, PORT (50051), MAX_PAYLOAD_BYTES (65536), AUDIT_FILE (failed logins; default: the log).
 */
import { createHookEngine } from 'hookring'
import { delivery } from 'hookring/contracts'
import { loginAuditor, payloadLimiter, tracing } from 'hookring/hooks'
import { startDeliveryServer } from './server.js'

const { HOST = '127.0.0.1', PORT = '50051', MAX_PAYLOAD_BYTES = '65536', AUDIT_FILE } = process.env

const engine = await createHookEngine({
  contract: delivery,
  plugins: [
    payloadLimiter({ maxBytes: Number(MAX_PAYLOAD_BYTES) }),
    loginAuditor(AUDIT_FILE === undefined ? {} : { file: AUDIT_FILE }),
    tracing(),
  ],
})
const server = await startDeliveryServer({ engine, host: HOST, port: Number(PORT) })
console.log(`delivery server on ${server.address}`)

const stop = () => {
  process.off('SIGTERM', stop).off('SIGINT', stop)
  // Plugins hear of the shutdown while connections are still open, as quicprochat's server hooks ask.
  server
    .stop({ beforeDisconnect: () => engine.shutdown() })
    .then(() => engine.close())
    .then(
      () => console.log('stopped'),
      (error: unknown) => {
        console.error(error)
        process.exitCode = 1
      },
    )
}
process.on('SIGTERM', stop).on('SIGINT', stop)
