import { createServer, type IncomingMessage } from 'node:http'
import { pathToFileURL } from 'node:url'
import { createHookEngine, HookringError } from 'hookring'
import { comments } from './contract.js'

type Answer = [status: number, body: object]
interface Comment {
  author: string
  text: string
}

const MOST_CHARACTERS = 65_536

/** Starts a server that takes comments by POST: `{ "author": "ada", "text": "hello" }`. */
export async function startServer(port = 3000) {
  const engine = await createHookEngine({
    contract: comments,
    plugins: [{ from: new URL('./plugins/max-length.js', import.meta.url), config: { characters: 280 } }],
  })

  async function publish(request: IncomingMessage): Promise<Answer> {
    const comment = await readJson(request)
    const verdict = await engine.hooks.onComment(comment)
    // No plugin has decided: one failed, or took too long.
    if (verdict.failure !== undefined) return [503, { error: 'try again later' }]
    if (verdict.kind === 'reject') return [403, { error: verdict.reason }]
    engine.hooks.onPublished(comment)
    return [201, comment]
  }

  const server = createServer(async (request, response) => {
    const [status, answer] = await publish(request).catch(answerTo)
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(answer))
  })
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  return {
    server,
    engine,
    /** Clients first, then plugins. */
    async close() {
      await new Promise((resolve) => server.close(resolve))
      await engine.close()
    },
  }
}

async function readJson(request: IncomingMessage): Promise<Comment> {
  let text = ''
  for await (const part of request.setEncoding('utf8')) {
    text += part
    if (text.length > MOST_CHARACTERS) throw new RangeError('too long')
  }
  return JSON.parse(text)
}

function answerTo(error: unknown): Answer {
  if (error instanceof RangeError) return [413, { error: 'too long' }]
  const isTheirs = error instanceof SyntaxError || (error instanceof HookringError && error.code === 'EVENT_INVALID')
  if (isTheirs) return [400, { error: 'a comment is { "author": "...", "text": "..." }' }]
  console.error(error)
  return [500, { error: 'something went wrong' }]
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const { server, close } = await startServer(Number(process.env.PORT ?? 3000))
  const address = server.address()
  console.log('listening on', address)
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, close)
}
