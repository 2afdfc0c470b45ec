/** A server of case `http`, in a process of its own: Fastify in one mode with one hook. */
import type { AddressInfo } from 'node:net'
import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
import hookring from 'hookring/fastify'
import { answerRequests } from '../instruments.js'
import { check } from './check.js'
import { BYSTANDER_PATH, HOOK_MS, HOOKED_PATH, type HttpRow, type ServerRequest, SLOW_THREADS } from './rates.js'

let stop: () => Promise<void> = async () => {}

answerRequests(async (request: ServerRequest): Promise<number | undefined> => {
  if (request.kind === 'start') return start(request.row)
  await stop()
  return undefined
})

async function start({ mode, hook }: HttpRow): Promise<number> {
  const app = Fastify({ forceCloseConnections: true })
  const threads = hook === 'slow' ? SLOW_THREADS : 1
  await HOOKS[mode](app, { sleepMs: HOOK_MS[hook], threads })
  app.get(HOOKED_PATH, () => ({ hello: 'world' }))
  app.get(BYSTANDER_PATH, { config: { hookring: false } }, () => ({ hello: 'world' }))
  await app.listen({ port: 0, host: '127.0.0.1' })
  stop = async () => {
    await app.close()
  }
  return (app.server.address() as AddressInfo).port
}

interface HookOptions {
  readonly sleepMs: number
  readonly threads: number
}

/** The route that is hooked alone; the bystander has the same hook of Fastify's in front of it, which lets it pass. */
const isBystander = ({ routeOptions }: FastifyRequest) => routeOptions.config.hookring === false
const checkedOf = ({ url, headers }: FastifyRequest) => ({ path: url, headers })

const HOOKS: Readonly<Record<HttpRow['mode'], (app: FastifyInstance, options: HookOptions) => Promise<void>>> = {
  async bare() {},
  async inline(app, { sleepMs }) {
    app.addHook('onRequest', async (request, reply) => {
      if (!isBystander(request) && check(checkedOf(request), sleepMs)) return reply.code(403).send()
    })
  },
  /** What crosses is what the hook reads, and no more. Its tasks are as many at once as a lane's: the fast ones do not block. */
  async piscina(app, { sleepMs, threads }) {
    const { Piscina } = await import('piscina')
    const pool = new Piscina({
      filename: new URL('./check-worker.js', import.meta.url).href,
      minThreads: threads,
      maxThreads: threads,
      concurrentTasksPerWorker: sleepMs === 0 ? 512 : 1,
    })
    app.addHook('onRequest', async (request, reply) => {
      if (!isBystander(request) && (await pool.run({ request: shownOf(request), sleepMs })))
        return reply.code(403).send()
    })
    app.addHook('onClose', () => pool.destroy())
  },
  async lanes(app, { sleepMs, threads }) {
    const from = new URL('../plugins/request-check.js', import.meta.url)
    const plugin = { from, config: { sleepMs }, workers: threads, timeoutMs: 5_000 }
    await app.register(hookring, { engine: { plugins: [plugin], logger: QUIET } })
  },
}

function shownOf({ url, headers }: FastifyRequest) {
  return { path: url, headers: { 'user-agent': headers['user-agent'], host: headers.host, accept: headers.accept } }
}

const QUIET = { debug() {}, info() {}, warn() {}, error() {} }
