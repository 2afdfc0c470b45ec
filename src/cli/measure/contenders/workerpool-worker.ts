/** The worker of contender `workerpool`. */
import { workerData } from 'node:worker_threads'
import { importPackage } from '../packages.js'
import { openWork, type QuestionOptions } from './question.js'
import type { Workerpool } from './workerpool.js'

const workerpool = await importPackage<Workerpool>('workerpool')
workerpool.worker({ work: await openWork(workerData as QuestionOptions) })
