/** The worker module of contenders `piscina` and `tinypool`: the pool calls its default export with each event. */
import { workerData } from 'node:worker_threads'
import { openWork } from './question.js'

// Tinypool hands its own data on beside that of the user.
export default await openWork(Array.isArray(workerData) ? workerData[1] : workerData)
