/** The worker of contender `comlink`. */
import { parentPort } from 'node:worker_threads'
import { expose } from 'comlink'
import { nodeEndpoint } from './comlink-endpoint.js'
import { limitPayload } from './delivery-events.js'

if (parentPort !== null) expose(limitPayload, await nodeEndpoint(parentPort))
