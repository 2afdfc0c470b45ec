/** The worker module of mode `piscina`: the pool calls its default export. */
import { type CheckedRequest, check } from './check.js'

export default function run({ request, sleepMs }: { request: CheckedRequest; sleepMs: number }): boolean {
  return check(request, sleepMs)
}
