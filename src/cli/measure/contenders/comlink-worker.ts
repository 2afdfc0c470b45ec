/** The worker of contender `comlink`. */
import { parentPort, workerData } from 'node:worker_threads'
import { importComlink } from './comlink-package.js'
import { openWork, type QuestionOptions } from './question.js'

const { comlink, nodeEndpoint } = await importComlink()
const work = await openWork(workerData as QuestionOptions)
comlink.expose(work, nodeEndpoint(parentPort))
parentPort?.postMessage('ready')
