/** The worker of contender `workerpool`. */
import workerpool from 'workerpool'
import { limitPayload } from './delivery-events.js'

workerpool.worker({ gate: limitPayload })
