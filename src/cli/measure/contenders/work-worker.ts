/** The worker module of contenders `piscina` and `tinypool`: the pool calls its default export with each event. */
import { workerData } from 'node:worker_threads'
import { openWork } from './question.js'

// Tinypool puts its own data in front of the user's.
export default await openWork(Array.isArray(workerData) ? workerData[1] : workerData)
