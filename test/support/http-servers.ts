/** HTTP servers of several kinds behind the hooks, each with the same handlers, for tests. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createAdaptorServer } from '@hono/node-server'
import express from 'express'
import Fastify from 'fastify'
import { Hono } from 'hono'
import { createHookEngine, type HookEngine } from 'hookring'
import { http } from 'hookring/contracts'
import hookring from 'hookring/fastify'
import { type HttpCounts, type HttpOptions, hookFetch, hookMiddleware } from 'hookring/http'
import { onTestFinished } from 'vitest'
import { recordingLogger } from './recording-logger.js'

export type Points = typeof http.hookpoints
export type Door = keyof typeof DOORS

export interface HookedServer {
  readonly engine: HookEngine<Points>
  readonly origin: string
  readonly port: number
  readonly server: Server
  readonly log: ReturnType<typeof recordingLogger>
  readonly counts: Readonly<HttpCounts>
  /** Bodies that reached a handler. */
  readonly handled: string[]
  /** What the operator was told. */
  readonly errors: { readonly error: unknown; readonly place: string }[]
}

interface Opening {
  readonly engine: HookEngine<Points>
  readonly options: HttpOptions<Points>
  readonly handled: string[]
}

interface Opened {
  readonly server: Server
  readonly counts: Readonly<HttpCounts>
}

const HANDLED = 'handled'

export const DOORS = {
  node({ engine, options, handled }: Opening): Opened {
    const middleware = hookMiddleware(engine, options)
    const handle = (request: IncomingMessage, response: ServerResponse) => {
      void textOf(request).then((body) => {
        handled.push(body)
        response.end(HANDLED)
      })
    }
    const server = createServer((request, response) => middleware(request, response, () => handle(request, response)))
    return { server, counts: middleware.counts }
  },
  express({ engine, options, handled }: Opening): Opened {
    const app = express()
    const middleware = hookMiddleware(engine, options)
    app.use(middleware)
    app.use(express.text({ type: () => true }))
    app.use((request, response) => {
      handled.push(typeof request.body === 'string' ? request.body : '')
      response.send(HANDLED)
    })
    return { server: createServer(app), counts: middleware.counts }
  },
  hono({ engine, options, handled }: Opening): Opened {
    const app = new Hono()
    app.all('*', async (context) => {
      handled.push(await context.req.text())
      return context.text(HANDLED)
    })
    const fetch = hookFetch(engine, app.fetch, options)
    return { server: createAdaptorServer({ fetch }) as Server, counts: fetch.counts }
  },
  async fastify({ engine, options, handled }: Opening): Promise<Opened> {
    const app = Fastify({ forceCloseConnections: true })
    await app.register(hookring, { engine, ...options })
    app.removeAllContentTypeParsers()
    app.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => done(null, body))
    app.all('/*', (request, reply) => {
      handled.push(typeof request.body === 'string' ? request.body : '')
      reply.send(HANDLED)
    })
    await app.ready()
    return { server: app.server, counts: app.hookCounts }
  },
} satisfies Record<string, (opening: Opening) => Opened | Promise<Opened>>

export interface ServerSetup {
  readonly options?: HttpOptions<Points>
  readonly engineOptions?: Partial<Parameters<typeof createHookEngine>[0]>
  readonly plugin?: object
}

interface LoggedEngine {
  readonly engine: HookEngine<Points>
  readonly log: ReturnType<typeof recordingLogger>
}

/** A lane takes a while to start: servers of the same settings share an engine, one after the other. */
let shared: Promise<LoggedEngine> | undefined

export async function closeShared(): Promise<void> {
  await (await shared)?.engine.close()
  shared = undefined
}

async function startEngine(setup: ServerSetup): Promise<LoggedEngine> {
  const log = recordingLogger()
  const engine = await createHookEngine({
    contract: http,
    plugins: [
      { from: new URL('../adapters/fixtures/http-plugin.mjs', import.meta.url), timeoutMs: 5_000, ...setup.plugin },
    ],
    logger: log,
    ...(setup.engineOptions as object),
  })
  return { engine, log }
}

async function engineFor(setup: ServerSetup): Promise<LoggedEngine> {
  if (setup.engineOptions === undefined && setup.plugin === undefined) {
    shared ??= startEngine(setup)
    const { engine, log } = await shared
    await engine.flush()
    log.lines.length = 0
    return { engine, log }
  }
  const own = await startEngine(setup)
  onTestFinished(() => own.engine.close())
  return own
}

/** A file whose tests start servers calls `closeShared` after all. */
export async function startHttp(door: Door, setup: ServerSetup = {}): Promise<HookedServer> {
  const { engine, log } = await engineFor(setup)
  const handled: string[] = []
  const errors: { error: unknown; place: string }[] = []
  const options = { onError: (error: unknown, place: string) => void errors.push({ error, place }), ...setup.options }
  const { server, counts } = await DOORS[door]({ engine, options, handled })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return { engine, origin: `http://127.0.0.1:${port}`, port, server, log, counts, handled, errors }
}

/** As handlers of old do it, who would miss an `end` that was said before they listen. */
function textOf(request: IncomingMessage): Promise<string> {
  return new Promise((resolve) => {
    let text = ''
    request.on('data', (chunk) => {
      text += String(chunk)
    })
    request.on('end', () => resolve(text))
  })
}
