/** What the hook of case `http` does, wherever it runs. */
import { block } from '../mqtt/block.js'

export interface CheckedRequest {
  readonly path: string
  readonly headers: Readonly<Record<string, unknown>>
}

/** Whether a request is to be refused; none of the bench's is. */
export function check({ path, headers }: CheckedRequest, sleepMs: number): boolean {
  block(sleepMs)
  return path.startsWith('/admin') || headers['user-agent'] === 'bot'
}
