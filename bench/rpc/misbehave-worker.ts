/** The worker module of mode `piscina`: the pool calls its default export. */
import { misbehave } from './misbehave.js'

export default function gate({ payloadLen }: { payloadLen: number }): void {
  misbehave(payloadLen)
}
