/** The worker module of case `sizes` for piscina: the pool calls its default export. */
import { type Blob, isBlobRefused } from '../plugins/blob-contract.js'

export default function check({ body }: Blob): { kind: string } {
  return { kind: isBlobRefused(body) ? 'reject' : 'continue' }
}
