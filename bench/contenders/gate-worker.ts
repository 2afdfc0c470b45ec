/** The worker module of contenders `piscina` and `tinypool`: the pool calls its default export. */
export { limitPayload as default } from './delivery-events.js'
